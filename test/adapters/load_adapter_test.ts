import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {
  activeAdapter,
  adapterFiles,
  adapterNames,
  applyCELoRA,
  type LoadAdapterOptions,
  loadAdapter,
  removeCELoRA,
  setActiveAdapter,
} from '../../src/index.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../backends.ts';
import {
  bits,
  celoraLayer,
  describeOnHost,
  expectSameOutputs,
  layerClasses,
  mlp,
  outputs,
  randomTensor,
  SMALL,
  small,
  train,
  trainableNames,
  weightBits,
} from '../model/models.ts';
import {adapterOf, expectRefused, mlpTensors, moduleTensors, type Tensors} from './files.ts';

const x = () => randomTensor([10, 6], 1);
const y = () => randomTensor([10, 4], 2);

function compile(model: tfl.LayersModel): void {
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
}

async function trained(options = SMALL): Promise<tfl.LayersModel> {
  const model = mlp();
  applyCELoRA(model, options);
  compile(model);
  await train(model, x(), y(), 3);
  return model;
}

/** s·AB of a layer by the tensors of a file, [in, units]. */
function delta(tensors: Tensors, module: string, scale: number): tf.Tensor {
  const side = (name: string) => tensors[`base_model.model.${module}.lora_${name}.weight`]!;
  const [a, b] = [side('A'), side('B')].map(({data, shape}) => tf.tensor2d(data, shape as [number, number]));
  return tf.mul(tf.transpose(tf.matMul(b!, a!)), scale);
}

describeBackends('an adapter that is saved and loaded', (backend) => {
  it('gives the outputs bit for bit, in a model that had none', async () => {
    const model = await trained(small(backend));
    const other = mlp();
    loadAdapter(other, await adapterFiles(model));
    await expectSameOutputs(other, outputs(model, x()), x());
    expect(trainableNames(other)).to.deep.equal(trainableNames(model));
  });
});

describeOnHost('loadAdapter', () => {
  it('takes PEFT’s matrices by module, transposed, with the scale of each', async () => {
    const tensors = {...moduleTensors('output', 8, 4, 3), ...moduleTensors('hidden', 6, 8, 2)};
    const patterns = {rank_pattern: {output: 3}, alpha_pattern: {'out.*': 10, hid: 3}};
    for (const [rslora, scales] of [
      [false, {hidden: 4 / 2, output: 10 / 3}],
      [true, {hidden: 4 / Math.sqrt(2), output: 10 / Math.sqrt(3)}],
    ] as const) {
      const model = mlp();
      loadAdapter(model, adapterOf({...patterns, use_rslora: rslora, lora_dropout: 0.25}, tensors));
      for (const [name, scale] of Object.entries(scales)) {
        const layer = celoraLayer(model, name);
        await expectClose(layer.deltaWeight(), await delta(tensors, name, scale).data(), 1e-6);
        expect(layer.config).to.deep.include({rslora, loraDropout: 0.25});
      }
    }
  });

  it('converts the layers that the adapter has, as it is told to, and freezes the rest', async () => {
    const model = mlp();
    const {layers, recompile} = loadAdapter(model, adapterOf({}, moduleTensors('output', 8, 4)), {
      keep: 0.25,
      frozenRank: 3,
      seed: 5,
    });
    expect(layers).to.have.length(1);
    expect(layers[0]).to.deep.include({name: 'output', adapterParams: 24});
    expect(recompile).to.equal(false);
    expect(layerClasses(model)).to.deep.equal(['Dense', 'CELoRADense']);
    expect(celoraLayer(model, 'output').config).to.deep.include({
      keep: 0.25,
      frozenRank: 3,
      seed: 5,
      rank: 2,
    });
    expect(trainableNames(model)).to.deep.equal(['output/lora_a', 'output/lora_b']);
    const free = mlp();
    loadAdapter(free, adapterOf({}, moduleTensors('output', 8, 4)), {freezeRest: false});
    expect(trainableNames(free)).to.have.length(4);
  });

  it('goes on training', async () => {
    const model = await trained({...SMALL, keep: 1});
    const other = mlp();
    loadAdapter(other, await adapterFiles(model), {keep: 1});
    for (const one of [model, other]) compile(one);
    expect(await train(other, x(), y(), 3)).to.deep.equal(await train(model, x(), y(), 3));
  });

  it('replaces the adapter of a converted model, other ranks and modules included, and keeps its options', async () => {
    const model = await trained({...SMALL, keep: 0.25});
    compile(model);
    const {recompile, trainableParams} = loadAdapter(
      model,
      adapterOf({r: 3}, moduleTensors('output', 8, 4, 3)),
    );
    expect([recompile, trainableParams]).to.deep.equal([true, 36]);
    expect(adapterNames(model)).to.deep.equal(['default']);
    expect(celoraLayer(model, 'output').config).to.deep.include({rank: 3, keep: 0.25, refreshEvery: 3});
    expect(celoraLayer(model, 'hidden').config).to.deep.include({rank: 0, keep: 0.25});
    const fresh = mlp();
    loadAdapter(fresh, adapterOf({r: 3}, moduleTensors('output', 8, 4, 3)));
    await expectSameOutputs(model, outputs(fresh, x()), x());
    expect(() => model.evaluate(x(), y())).to.throw('must compile');
  });

  it('adds an adapter of another name, and leaves those that there are as they are', async () => {
    const model = await trained();
    const before = outputs(model, x());
    loadAdapter(model, adapterOf(), {adapter: 'other'});
    expect([adapterNames(model), activeAdapter(model)]).to.deep.equal([['default', 'other'], 'other']);
    setActiveAdapter(model, 'default');
    await expectSameOutputs(model, before, x());
    // without a name it is the active one that is replaced
    setActiveAdapter(model, 'other');
    loadAdapter(model, adapterOf({lora_alpha: 8}));
    setActiveAdapter(model, 'default');
    await expectSameOutputs(model, before, x());
  });

  it('widens a converted model by the layers that another adapter has', async () => {
    const model = mlp();
    applyCELoRA(model, {...SMALL, target: 'hidden'});
    loadAdapter(model, adapterOf(), {adapter: 'other'});
    expect(celoraLayer(model, 'output').adapters.names).to.deep.equal(['other']);
    const fresh = mlp();
    loadAdapter(fresh, adapterOf());
    await expectSameOutputs(model, outputs(fresh, x()), x());
    setActiveAdapter(model, 'default');
    expect(celoraLayer(model, 'output').config.rank).to.equal(0);
  });

  it('leaves the base bit for bit, and takes no part of the bytes', async () => {
    const model = mlp();
    const base = await weightBits(model);
    const files = adapterOf();
    loadAdapter(model, files);
    const before = await bits(celoraLayer(model, 'output').deltaWeight());
    files['adapter_model.safetensors'].fill(0);
    expect(await bits(celoraLayer(model, 'output').deltaWeight())).to.deep.equal(before);
    removeCELoRA(model);
    expect(await weightBits(model)).to.deep.equal(base);
  });

  it('reads half precision', async () => {
    const header = JSON.stringify({
      'base_model.model.output.lora_A.weight': {dtype: 'BF16', shape: [1, 8], data_offsets: [0, 16]},
      'base_model.model.output.lora_B.weight': {dtype: 'F16', shape: [4, 1], data_offsets: [16, 24]},
    });
    const bytes = new Uint8Array(8 + header.length + 24);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(new TextEncoder().encode(header), 8);
    const at = bytes.length - 24;
    bytes.set(new Uint8Array(Uint16Array.of(...Array(8).fill(0x3fc0), 0x3c00, 0xc000, 0, 0x3800).buffer), at);
    const model = mlp();
    loadAdapter(model, adapterOf({r: 1, lora_alpha: 1}, bytes));
    const row = [1.5, -3, 0, 0.75];
    await expectClose(celoraLayer(model, 'output').deltaWeight(), Array(8).fill(row).flat(), 0);
  });

  it('finds layers in nested models and wrappers by their own names', async () => {
    const inner = tfl.sequential({name: 'inner', layers: [...mlp().layers]});
    const wrapped = tfl.layers.timeDistributed({
      layer: tfl.layers.dense({units: 3, name: 'wrapped'}),
      name: 'times',
    });
    const model = tfl.sequential({layers: [inner, tfl.layers.reshape({targetShape: [1, 4]}), wrapped]});
    const tensors = {...mlpTensors(), ...moduleTensors('wrapped', 4, 3)};
    expect(loadAdapter(model, adapterOf({}, tensors)).layers.map(({name}) => name)).to.have.members([
      'hidden',
      'output',
      'wrapped',
    ]);
  });

  it('leaks nothing, also where it replaces', async () => {
    await expectNoLeaks(() => {
      const model = mlp();
      loadAdapter(model, adapterOf());
      loadAdapter(model, adapterOf({r: 1}, mlpTensors(1)));
      loadAdapter(model, adapterOf(), {adapter: 'other'});
      loadAdapter(model, adapterOf({}, moduleTensors('hidden', 6, 8)));
      model.dispose();
    });
  });

  const options: [string, unknown, string][] = [
    ['no object', 3, 'loadAdapter: options must be an object, but is 3'],
    ['an unknown name', {kept: 1}, 'loadAdapter: unknown option kept'],
    ['a wrong value', {keep: 0}, 'loadAdapter: keep must be a number with 0 < keep ≤ 1, but is 0'],
    ['what the files say', {rank: 4}, "loadAdapter: rank is no option: the adapter's files say it"],
    ['a name that is none', {adapter: ''}, "loadAdapter: the name of an adapter must be a text, but is ''"],
    ['a base that is no name', {baseModel: 3}, 'loadAdapter: baseModel must be a text, but is 3'],
    ['a flag that is none', {freezeRest: 1}, 'loadAdapter: freezeRest must be a boolean, but is 1'],
  ];
  for (const [what, given, message] of options) {
    it(`refuses options: ${what}`, async () => {
      const model = mlp();
      const load = () => loadAdapter(model, adapterOf(), given as LoadAdapterOptions);
      await expectRefused(model, load, message, Error);
    });
  }

  it('refuses a merged model, and one whose layers share a name', async () => {
    const model = await trained();
    celoraLayer(model, 'hidden').merge();
    await expectRefused(model, () => loadAdapter(model, adapterOf()), 'adapter of hidden is merged', Error);
    const twin = tfl.sequential({
      layers: [
        mlp(),
        tfl.sequential({layers: [tfl.layers.dense({units: 8, inputShape: [4], name: 'hidden'})]}),
      ],
    });
    await expectRefused(twin, () => loadAdapter(twin, adapterOf()), 'two layers are named hidden', Error);
  });

  it('changes nothing where a layer has an adapter in another model that shares it', async () => {
    const shared = tfl.layers.dense({units: 6, name: 'hidden', inputShape: [6]});
    const [one, two] = [0, 1].map(() => {
      const input = tfl.input({shape: [6]});
      return tfl.model({inputs: input, outputs: shared.apply(input) as tfl.SymbolicTensor});
    });
    applyCELoRA(one!, SMALL);
    const files = adapterOf({}, moduleTensors('hidden', 6, 6));
    await expectRefused(
      two!,
      () => loadAdapter(two!, files),
      'has an adapter already, in another model',
      Error,
    );
  });
});
