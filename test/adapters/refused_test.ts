import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import fc from 'fast-check';
import {type JsonObject, parseJsonObject} from '../../src/files/json.ts';
import {applyCELoRA, FileError, loadAdapter} from '../../src/index.ts';
import {describeOnHost, mlp, SMALL} from '../model/models.ts';
import {
  adapterOf,
  configJson,
  encode,
  expectRefused,
  matrix,
  mlpTensors,
  moduleTensors,
  type Tensors,
} from './files.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';

/** Loads into a model with and without adapters, and asserts that nothing has changed in either. */
async function expectBoth(files: Record<string, Uint8Array>, message: string | RegExp): Promise<void> {
  for (const convert of [false, true]) {
    const model = mlp();
    if (convert) applyCELoRA(model, SMALL);
    model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    await expectRefused(model, () => loadAdapter(model, files), message);
  }
}

/** What PEFT can hold and a LoRA adapter here cannot, as its settings say it. */
const FEATURES: [JsonObject, string][] = [
  [{peft_type: 'ADALORA'}, 'peft_type "ADALORA" is not supported; only "LORA" is'],
  [{peft_type: 'IA3'}, 'peft_type "IA3" is not supported'],
  [{peft_type: undefined}, 'peft_type undefined is not supported'],
  [{use_dora: true}, 'use_dora true (DoRA) is not supported'],
  [{use_qalora: true}, 'use_qalora true (QALoRA) is not supported'],
  [{use_bdlora: {nblocks: 2}}, 'use_bdlora {…} (BD-LoRA) is not supported'],
  [{lora_bias: true}, 'lora_bias true (a bias of lora_B) is not supported'],
  [{bias: 'all'}, 'bias "all" (trained biases) is not supported'],
  [{bias: 'lora_only'}, 'bias "lora_only" (trained biases) is not supported'],
  [
    {modules_to_save: ['lm_head']},
    'modules_to_save ["lm_head"] (whole modules trained beside the adapter) is not supported',
  ],
  [
    {trainable_token_indices: [3]},
    'trainable_token_indices [3] (trained embeddings of tokens) is not supported',
  ],
  [{target_parameters: ['w']}, 'target_parameters ["w"] (adapters of bare parameters) is not supported'],
  [{layer_replication: [[0, 2]]}, 'layer_replication [[…]] (replicated layers) is not supported'],
  [{alora_invocation_tokens: [1, 2]}, 'alora_invocation_tokens [1,2] (activated LoRA) is not supported'],
  [{arrow_config: {top_k: 3}}, 'arrow_config {…} (Arrow routing) is not supported'],
  [{kasa_config: {beta: 1}}, 'kasa_config {…} (KaSA) is not supported'],
  [{monteclora_config: {num_samples: 8}}, 'monteclora_config {…} (MonteCLoRA) is not supported'],
  [{velora_config: {scale: 1}}, 'velora_config {…} (VeLoRA) is not supported'],
  [{megatron_config: {a: 1}}, 'megatron_config {…} (layers of Megatron) is not supported'],
  ...['pissa', 'pissa_niter_16', 'olora', 'corda', 'loftq', 'lora_ga', 'OLoRA', 3].map(
    (start): [JsonObject, string] => [
      {init_lora_weights: start},
      `init_lora_weights ${JSON.stringify(start)} is not supported, since it changes the base's weights`,
    ],
  ),
  [{use_tomorrow: true}, "'use_tomorrow' true is not known, so not supported"],
  [{tomorrow_config: {a: 1}}, "'tomorrow_config' {…} is not known, so not supported"],
];

const VALUES: [JsonObject, string][] = [
  [{r: 0}, 'r must be a whole number ≥ 1, not 0'],
  [{r: 1.5}, 'r must be a whole number ≥ 1, not 1.5'],
  [{r: '2'}, 'r must be a whole number ≥ 1, not "2"'],
  [{r: 1e300}, 'r must be a whole number ≥ 1'],
  [{lora_alpha: 0}, 'lora_alpha must be a finite number > 0, not 0'],
  [{lora_alpha: -4}, 'lora_alpha must be a finite number > 0, not -4'],
  [{lora_alpha: '4\n'}, 'lora_alpha must be a finite number > 0, not "4\\n"'],
  [{lora_dropout: 1}, 'lora_dropout must be a number with 0 ≤ it < 1, not 1'],
  [{use_rslora: 1}, 'use_rslora must be true or false, not 1'],
  [{rank_pattern: ['q']}, 'rank_pattern must be an object, not ["q"]'],
  [{rank_pattern: {hidden: 'two'}}, `rank_pattern of 'hidden' must be a whole number ≥ 1, not "two"`],
  [{alpha_pattern: {hidden: null}}, "alpha_pattern of 'hidden' must be a finite number > 0, not null"],
  [{alpha_pattern: {'(a': 1}}, "alpha_pattern: the pattern '(a' is not read"],
  [{alpha_pattern: {'(?=a)': 1}}, "alpha_pattern: the pattern '(?=a)' is not read"],
];

/** Tensors of PEFT's beside an adapter's. */
const TENSORS: [string, string][] = [
  [
    'base_model.model.model.embed_tokens.lora_embedding_A',
    'the adapter of an embedding: that is not supported',
  ],
  ['base_model.model.hidden.lora_magnitude_vector', 'the magnitudes of DoRA'],
  ['base_model.model.hidden.lora_magnitude_vector.weight', 'the magnitudes of DoRA'],
  ['base_model.model.hidden.lora_B.bias', 'a bias of lora_B'],
  ['base_model.model.hidden.base_layer.bias', 'a trained bias'],
  ['base_model.model.hidden.lora_diag.weight', 'not one of plain LoRA'],
  ['base_model.model.hidden.lora_A.default.weight', 'not one of plain LoRA'],
  ['base_model.model.lm_head.base_layer.weight', "a copy of the base's weights"],
  ['base_model.model.score.weight', 'the weight of a whole module, such as modules_to_save or an embedding'],
  ['hidden.lora_A.weight', 'not one of plain LoRA'],
  ['lora_unet_down.alpha', 'no base_model.model.<module>.lora_A.weight or lora_B'],
  ['__proto__', 'no base_model.model.<module>.lora_A.weight or lora_B'],
];

describeOnHost('an adapter that cannot be used changes nothing', () => {
  for (const [changes, message] of [...FEATURES, ...VALUES]) {
    it(`setting ${JSON.stringify(changes)}`, () => expectBoth(adapterOf(changes), `${CONFIG}: ${message}`));
  }

  for (const [name, message] of TENSORS) {
    it(`tensor ${name}`, async () => {
      const tensors = Object.fromEntries([...Object.entries(mlpTensors()), [name, matrix(2, 2)]]);
      await expectBoth(adapterOf({}, tensors), `${WEIGHTS}: tensor '${name}' is ${message}`);
    });
  }

  it('takes every other setting that PEFT writes', () => {
    for (const changes of [
      {task_type: 'CAUSAL_LM', revision: 'main', fan_in_fan_out: true, auto_mapping: {base_model_class: 'A'}},
      {layers_to_transform: [0], layers_pattern: 'layers', exclude_modules: ['x'], target_modules: '.*'},
      {eva_config: {rho: 2}, corda_config: {a: 1}, loftq_config: {loftq_bits: 4}, runtime_config: {a: 1}},
      ...[true, false, null, 'gaussian', 'eva', 'orthogonal', 'mica'].map((start) => ({
        init_lora_weights: start,
      })),
      {tomorrow_size: 16, use_tomorrow: false, tomorrow_config: null, modules_to_save: [], bias: null},
    ]) {
      loadAdapter(mlp(), adapterOf(changes));
    }
  });

  it('has PEFT’s defaults', () => {
    const model = mlp();
    const {layers} = loadAdapter(model, adapterOf(encode({peft_type: 'LORA', r: 2})));
    const {alpha, rslora, loraDropout} = layers[0]!.config;
    expect({alpha, rslora, loraDropout}).to.deep.equal({alpha: 8, rslora: false, loraDropout: 0});
  });

  const base = 'the adapter is of another base model';
  const misfits: [string, Tensors, JsonObject, RegExp | string][] = [
    [
      'a module that the model does not have',
      {...mlpTensors(), ...moduleTensors('model.layers.0.q_proj', 6, 6)},
      {},
      `${WEIGHTS}: model mlp has no layer for module 'model.layers.0.q_proj'; ${base}`,
    ],
    [
      'other inputs',
      moduleTensors('output', 9, 4),
      {},
      `tensor 'base_model.model.output.lora_A.weight' has shape [2,9], but a layer 8 → 4 wants [2,8]; ${base}`,
    ],
    [
      'other units',
      moduleTensors('output', 8, 5),
      {},
      `has shape [5,2], but a layer 8 → 4 wants [4,2]; ${base}`,
    ],
    [
      'two ranks in one module',
      {...mlpTensors(), 'base_model.model.output.lora_B.weight': matrix(4, 3)},
      {},
      "lora_B.weight' has shape [4,3], but a layer 8 → 4 wants [4,2]",
    ],
    [
      'another rank than is said',
      mlpTensors(3),
      {},
      `${CONFIG}: the adapter of module 'hidden' should have rank 2, but its weights have 3`,
    ],
    [
      'another rank than is said of it',
      mlpTensors(),
      {rank_pattern: {'(in|out)put': 1}},
      "the adapter of module 'output' should have rank 1, but its weights have 2",
    ],
    ['rank 0', mlpTensors(0), {}, 'should have rank 2, but its weights have 0'],
    ['a rank beyond the layer', mlpTensors(5), {r: 5}, "module 'output' has rank 5; above 4"],
    [
      'half an adapter',
      {...moduleTensors('hidden', 6, 8), 'base_model.model.output.lora_B.weight': matrix(4, 2)},
      {},
      "module 'output' has no lora_A.weight beside its lora_B",
    ],
    ['no adapter', {}, {}, `${WEIGHTS} holds no adapter`],
    [
      'a vector',
      {...mlpTensors(), 'base_model.model.output.lora_B.weight': {shape: [8], data: new Float32Array(8)}},
      {},
      'is F32 of shape [8], not a matrix',
    ],
  ];
  for (const [what, tensors, config, message] of misfits) {
    it(what, () => expectBoth(adapterOf(config, tensors), message));
  }

  it('a module that is no Dense layer', async () => {
    const model = tfl.sequential({
      name: 'words',
      layers: [tfl.layers.embedding({inputDim: 5, outputDim: 6, inputLength: 2, name: 'hidden'})],
    });
    const files = adapterOf({}, moduleTensors('hidden', 6, 8));
    await expectRefused(model, () => loadAdapter(model, files), "module 'hidden' is of class Embedding here");
  });

  it('an adapter of a base of another name, where it is said', async () => {
    const model = mlp();
    const files = adapterOf({base_model_name_or_path: 'acme/large'});
    const load = () => loadAdapter(model, files, {baseModel: 'acme/small'});
    await expectRefused(model, load, `${CONFIG}: the adapter is of 'acme/large', not of 'acme/small'`);
    loadAdapter(model, files, {baseModel: 'acme/large'});
    loadAdapter(model, adapterOf(), {baseModel: 'acme/small'});
    loadAdapter(model, files);
  });

  it('files that are missing, or no bytes', async () => {
    const files = adapterOf();
    await expectBoth({}, `${CONFIG} is missing from the adapter's files`);
    await expectBoth(
      {[CONFIG]: files[CONFIG], 'adapter_model.bin': new Uint8Array(3)},
      `${WEIGHTS} is missing from the adapter's files (PEFT's older adapter_model.bin, a pickle, is not read)`,
    );
    await expectBoth({__proto__: files} as never, `${CONFIG} is missing`);
    const model = mlp();
    const text = {...files, [CONFIG]: '{}'} as never;
    await expectRefused(model, () => loadAdapter(model, text), 'must be a Uint8Array', Error);
    await expectRefused(model, () => loadAdapter(model, null as never), 'options must be an object', Error);
  });

  it('a config that is broken, or says two things', async () => {
    const text = (json: string) => adapterOf(new TextEncoder().encode(json));
    await expectBoth(text(''), `${CONFIG} is not valid JSON`);
    await expectBoth(text('{"lora_alpha": NaN}'), `${CONFIG} is not valid JSON`);
    await expectBoth(text('[]'), `${CONFIG} does not hold a JSON object`);
    await expectBoth(text('{"peft_type":"LORA","r":2,"r":4}'), `${CONFIG} has the key 'r' twice`);
    await expectBoth(text('{"peft_type":"LORA","rank_pattern":{"a":2,"a":4}}'), "has the key 'a' twice");
  });
});

describeOnHost('hostile files', () => {
  /** Loads, and asserts that a refusal is one of files. */
  function attempt(files: Record<string, Uint8Array>): void {
    const model = mlp();
    const layers = [...model.layers];
    try {
      loadAdapter(model, files);
    } catch (error) {
      expect(error).to.be.instanceOf(FileError);
      expect((error as Error).message).not.to.include('\n');
      expect((error as Error).message.length).to.be.below(1000);
      expect(model.layers).to.have.ordered.members(layers);
    } finally {
      model.dispose();
    }
  }

  it('of any bytes are refused as such', () => {
    const bytes = fc.uint8Array({maxLength: 64});
    fc.assert(
      fc.property(bytes, (weights) => attempt({...adapterOf(), [WEIGHTS]: weights})),
      {numRuns: 200},
    );
    fc.assert(
      fc.property(bytes, (config) => attempt({...adapterOf(), [CONFIG]: config})),
      {numRuns: 200},
    );
  });

  it('of good bytes that were changed or cut are loaded or refused', () => {
    for (const name of [CONFIG, WEIGHTS] as const) {
      const good = adapterOf()[name];
      const change = fc.record({at: fc.nat(good.length - 1), byte: fc.nat(255)});
      fc.assert(
        fc.property(fc.array(change, {maxLength: 4}), fc.nat(good.length), (changes, length) => {
          const bytes = good.slice();
          for (const {at, byte} of changes) bytes[at] = byte;
          attempt({...adapterOf(), [name]: changes.length > 2 ? bytes.slice(0, length) : bytes});
        }),
        {numRuns: 300},
      );
    }
  });

  it('with any header are loaded or refused', () => {
    const size = fc.oneof(fc.nat(12), fc.constantFrom(-1, 0.5, 1e30, 2 ** 53, null, 'x'));
    const entry = fc.record(
      {
        dtype: fc.constantFrom('F32', 'F16', 'I64', 'toString', 3, null),
        shape: fc.oneof(fc.array(size, {maxLength: 3}), fc.jsonValue()),
        data_offsets: fc.oneof(fc.tuple(size, size), fc.jsonValue()),
      },
      {requiredKeys: []},
    );
    const names = fc.constantFrom(
      ...Object.keys(mlpTensors()),
      '__proto__',
      '__metadata__',
      'constructor',
      '',
    );
    const header = fc.array(fc.tuple(names, fc.oneof(entry, fc.jsonValue())), {maxLength: 4});
    const length = fc.oneof(fc.constant(undefined), fc.bigInt({min: 0n, max: 2n ** 64n - 1n}));
    fc.assert(
      fc.property(header, fc.nat(40), length, (entries, data, claimed) => {
        const json = new TextEncoder().encode(
          `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)}}`,
        );
        const bytes = new Uint8Array(8 + json.length + data);
        new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
        bytes.set(json, 8);
        attempt({...adapterOf(), [WEIGHTS]: bytes});
      }),
      {numRuns: 500},
    );
  });

  it('with any settings are loaded or refused', () => {
    const key = fc.constantFrom(...Object.keys(configJson()), '__proto__', 'constructor', 'use_dora');
    const value = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.constantFrom(2, 'LORA'),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), {maxLength: 3}), (changes) => {
        const settings = {...configJson(), ...Object.fromEntries(changes)};
        attempt(adapterOf(encode(settings)));
        expect(() => parseJsonObject(encode(settings), 'it')).not.to.throw();
      }),
      {numRuns: 500},
    );
    expect(({} as {polluted?: unknown}).polluted).to.equal(undefined);
  });

  it('that are deep or long are refused in one short line', () => {
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    for (const json of [
      `{"peft_type": ${deep}}`,
      `{"peft_type":"LORA","r":${deep}}`,
      `{"peft_type":"LORA","modules_to_save":${deep}}`,
      `{"peft_type":"LORA","bias":"${'x'.repeat(1e6)}"}`,
      `{"peft_type":"LORA","alpha_pattern":{"${'('.repeat(1e6)}":1}}`,
    ]) {
      attempt(adapterOf(new TextEncoder().encode(json)));
    }
    attempt(adapterOf({}, Object.fromEntries([[`base_model.model.${'x'.repeat(1e6)}`, matrix(1, 1)]])));
  });

  it('with a pattern that would take years are refused', () => {
    const long = 'a'.repeat(60);
    const model = tfl.sequential({layers: [tfl.layers.dense({units: 4, inputShape: [6], name: long})]});
    const alpha_pattern = {[`${'('.repeat(9)}a?${'){99}'.repeat(9)}`]: 1};
    const files = adapterOf({alpha_pattern}, moduleTensors(long, 6, 4));
    expect(() => loadAdapter(model, files)).to.throw(FileError, 'takes too long to match');
    // a matcher that tries one way after the other needs 2⁶⁰ steps here
    loadAdapter(model, adapterOf({alpha_pattern: {'(a|a)*b': 1, '(a*)*b': 1}}, moduleTensors(long, 6, 4)));
  });
});
