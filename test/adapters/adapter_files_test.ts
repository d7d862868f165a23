import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {decodeTensor, readSafetensors} from '../../src/files/safetensors.ts';
import {
  type AdapterFiles,
  type AdapterFilesOptions,
  type ApplyOptions,
  adapterFiles,
  addAdapter,
  applyCELoRA,
  celoraDense,
  deleteAdapter,
  freezeBase,
  loadAdapter,
  setAdapterEnabled,
} from '../../src/index.ts';
import {expectNoLeaks} from '../backends.ts';
import {
  bits,
  celoraLayer,
  describeOnHost,
  expectSameBits,
  expectSameOutputs,
  mlp,
  outputs,
  randomTensor,
  SMALL,
} from '../model/models.ts';

const textOf = (files: AdapterFiles, name: string) => new TextDecoder().decode(files[name]);
const configOf = (files: AdapterFiles) => JSON.parse(textOf(files, 'adapter_config.json'));

/** A model whose adapters do something. */
function adapted(options: ApplyOptions = SMALL, model: tfl.LayersModel = mlp()): tfl.LayersModel {
  const {layers} = applyCELoRA(model, options);
  for (const [i, {name}] of layers.entries()) {
    const {loraB} = celoraLayer(model, name).adapters.active!;
    loraB.write(randomTensor(loraB.shape as number[], i + 3));
  }
  return model;
}

/** Dense layers of these names, of ten inputs and outputs. */
const chain = (...names: string[]): tfl.Sequential =>
  tfl.sequential({layers: names.map((name) => tfl.layers.dense({units: 10, inputShape: [10], name}))});

describeOnHost('adapterFiles', () => {
  it('are PEFT’s two, and a card', async () => {
    const files = await adapterFiles(adapted());
    expect(Object.keys(files)).to.deep.equal([
      'adapter_config.json',
      'adapter_model.safetensors',
      'README.md',
    ]);
    expect(configOf(files)).to.deep.equal({
      alpha_pattern: {},
      base_model_name_or_path: null,
      bias: 'none',
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      lora_alpha: 4,
      lora_dropout: 0,
      modules_to_save: null,
      peft_type: 'LORA',
      r: 2,
      rank_pattern: {},
      target_modules: ['hidden', 'output'],
      task_type: null,
      use_dora: false,
      use_rslora: false,
    });
  });

  it('hold torch’s matrices by PEFT’s names: A [rank, in], B [out, rank]', async () => {
    const model = adapted();
    const bytes = (await adapterFiles(model))['adapter_model.safetensors']!;
    const entries = readSafetensors('it', bytes);
    expect([...entries].map(([name, {shape, dtype}]) => [name, shape, dtype])).to.deep.equal([
      ['base_model.model.hidden.lora_A.weight', [2, 6], 'F32'],
      ['base_model.model.hidden.lora_B.weight', [8, 2], 'F32'],
      ['base_model.model.output.lora_A.weight', [2, 8], 'F32'],
      ['base_model.model.output.lora_B.weight', [4, 2], 'F32'],
    ]);
    for (const layer of ['hidden', 'output']) {
      const {loraA, loraB} = celoraLayer(model, layer).adapters.active!;
      for (const [side, variable] of [['A', loraA] as const, ['B', loraB] as const]) {
        const name = `base_model.model.${layer}.lora_${side}.weight`;
        const entry = entries.get(name)!;
        const data = decodeTensor(name, entry, bytes.subarray(entry.start, entry.end));
        await expectSameBits(tf.tensor(data, entry.shape), tf.transpose(variable.read()));
      }
    }
    const header = new TextDecoder().decode(bytes.subarray(8, 600));
    expect(header).to.include('"__metadata__":{"format":"pt"}');
  });

  it('say what differs from layer to layer of it alone', async () => {
    const names = ['a.q_proj', 'b.q_proj', 'c.q_proj', 'q_proj', 'b/q-proj'];
    const options: ApplyOptions = {
      ...SMALL,
      overrides: [
        {target: 'q_proj', rank: 3},
        {target: /^b\.q_proj$/, rank: 4, alpha: 7, loraDropout: 0.5},
        {target: /^q_proj$/, rank: 2},
      ],
    };
    const model = adapted(options, chain(...names));
    const files = await adapterFiles(model);
    expect(configOf(files)).to.deep.include({
      r: 3,
      lora_alpha: 4,
      lora_dropout: 0,
      rank_pattern: {'^b\\.q_proj': 4, '^q_proj': 2, '^b/q-proj': 2},
      alpha_pattern: {'^b\\.q_proj': 7},
    });
    const other = chain(...names);
    other.setWeights(tf.tidy(() => chain(...names).getWeights()));
    loadAdapter(other, files);
    for (const name of names) {
      const [found, wanted] = [other, model].map((one) => celoraLayer(one, name).adapters.active!);
      const {rank, alpha} = wanted!.config;
      expect(found!.config).to.deep.include({rank, alpha});
      expect(await bits(found!.loraA.read())).to.deep.equal(await bits(wanted!.loraA.read()));
    }
  });

  it('say rsLoRA where all layers have it, and the same scale where only some do', async () => {
    const all = adapted({...SMALL, rslora: true});
    expect(configOf(await adapterFiles(all))).to.deep.include({use_rslora: true, lora_alpha: 4});
    const some = adapted({...SMALL, overrides: [{target: 'output', rslora: true}]});
    const files = await adapterFiles(some);
    expect(configOf(files)).to.deep.include({
      use_rslora: false,
      lora_alpha: 4,
      alpha_pattern: {'^output': 4 * Math.SQRT2},
    });
    const other = mlp();
    loadAdapter(other, files);
    const [found, wanted] = [other, some].map((one) => outputs(one, randomTensor([5, 6]))[0]!);
    const difference = await tf.max(tf.abs(tf.sub(found!, wanted!))).data();
    expect(difference[0]).to.be.below(1e-5);
  });

  it('name modules by their last parts only where these mean no other layer', async () => {
    const model = adapted(
      {...SMALL, target: [/_proj$/, /^a\.fc$/, 'out']},
      chain('a.q_proj', 'b.q_proj', 'a.fc', 'b.fc', 'out', 'norm'),
    );
    expect(configOf(await adapterFiles(model)).target_modules).to.deep.equal(['q_proj', 'a.fc', 'out']);
  });

  it('are of the active adapter, or of the one that is asked for', async () => {
    const model = adapted();
    addAdapter(model, 'other', {rank: 3, target: 'output'});
    const [active, first] = [await adapterFiles(model), await adapterFiles(model, {adapter: 'default'})];
    expect(configOf(active)).to.deep.include({r: 3, target_modules: ['output']});
    expect(configOf(first)).to.deep.include({r: 2, target_modules: ['hidden', 'output']});
  });

  it('are the same while the adapter is merged or off', async () => {
    const model = adapted();
    const files = await adapterFiles(model);
    setAdapterEnabled(model, false);
    expect(await adapterFiles(model)).to.deep.equal(files);
    setAdapterEnabled(model, true);
    celoraLayer(model, 'output').merge();
    expect(await adapterFiles(model)).to.deep.equal(files);
  });

  it('are of the moment of the call', async () => {
    const model = adapted();
    const expected = await adapterFiles(model);
    const files = adapterFiles(model);
    for (const weight of model.trainableWeights) weight.write(tf.zeros(weight.shape as number[]));
    expect(await files).to.deep.equal(expected);
  });

  it('have a card that names base, rank and modules, whatever their names are', async () => {
    const baseModel = 'acme/tiny: "a"\n| b `c`';
    const files = await adapterFiles(adapted(), {baseModel, taskType: 'CAUSAL_LM'});
    expect(configOf(files)).to.deep.include({base_model_name_or_path: baseModel, task_type: 'CAUSAL_LM'});
    const card = textOf(files, 'README.md');
    const [, header, body] = card.split('---\n', 3) as [string, string, string];
    expect(header.split('\n')).to.deep.equal([
      'base_model: "acme/tiny: \\"a\\"\\n| b `c`"',
      'library_name: peft',
      'pipeline_tag: text-generation',
      'tags:',
      '- lora',
      '- tfjs-celora',
      '',
    ]);
    expect(body).to.include('For `acme/tiny: "a" b c `.');
    expect(body).to.include(
      '| rank | 2 |\n| alpha | 4 |\n| modules | hidden, output |\n| parameters | 52 |\n',
    );
    expect(textOf(await adapterFiles(adapted()), 'README.md')).not.to.match(/base_model:|pipeline_tag/);
  });

  it('leak nothing', async () => {
    const model = adapted();
    await expectNoLeaks(() => adapterFiles(model));
  });

  it('come back bit for bit', async () => {
    const model = adapted();
    const other = mlp();
    loadAdapter(other, await adapterFiles(model));
    const x = randomTensor([5, 6]);
    await expectSameOutputs(other, outputs(model, x), x);
  });

  const refused: [string, (model: tfl.LayersModel) => void, unknown, string][] = [
    ['an unknown adapter', () => {}, {adapter: 'x'}, "there is no adapter 'x'; there are: default"],
    [
      'a model without an active one',
      (model) => deleteAdapter(model, 'default'),
      {},
      "there is no adapter 'default'; there are: none",
    ],
    ['options that are none', () => {}, 3, 'options must be an object, but is 3'],
    [
      'an unknown option',
      () => {},
      {name: 'x'},
      'unknown option name; options are adapter, baseModel, taskType',
    ],
    ['a name that is none', () => {}, {baseModel: 3}, 'baseModel must be a text, but is 3'],
    ['an unknown task', () => {}, {taskType: 'chat'}, 'taskType must be one of CAUSAL_LM, '],
  ];
  for (const [what, change, options, message] of refused) {
    it(`refuse ${what}`, async () => {
      const model = adapted();
      change(model);
      const error = await adapterFiles(model, options as AdapterFilesOptions).catch(
        (reason: Error) => reason,
      );
      expect(error).to.be.an('error').with.property('message').that.includes(`adapterFiles: ${message}`);
    });
  }

  it('refuse a model that is trained beyond its adapters, or has none, or two of a name', async () => {
    const messageOf = (model: tfl.LayersModel) =>
      adapterFiles(model).then(
        () => 'nothing',
        ({message}: Error) => message,
      );
    const free = adapted({...SMALL, target: 'output', freezeRest: false});
    expect(await messageOf(free)).to.match(/^adapterFiles: hidden\/kernel is trainable too/);
    freezeBase(free);
    expect(await messageOf(free)).to.equal('nothing');
    const layer = celoraDense({...SMALL, units: 4, inputShape: [6], name: 'one', trainBase: true});
    expect(await messageOf(tfl.sequential({layers: [layer]}))).to.match(/kernel is trainable too/);
    expect(await messageOf(mlp())).to.equal('adapterFiles: model mlp has no CELoRADense layer');
    const twice = tfl.sequential({layers: [mlp(), tfl.sequential({layers: [chain('x', 'hidden')]})]});
    applyCELoRA(twice, SMALL);
    expect(await messageOf(twice)).to.match(/two layers are named hidden/);
  });
});
