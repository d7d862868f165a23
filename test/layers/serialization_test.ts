import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, celoraDense, mergeCELoRA} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {
  artifactsOf,
  celoraLayer,
  describeOnHost,
  expectSameOutputs,
  mlp,
  outputs,
  randomTensor,
  reload,
  SMALL,
  small,
  train,
  trainableNames,
  weightBits,
} from '../model/models.ts';

const x = () => randomTensor([10, 6], 1);
const y = () => randomTensor([10, 4], 2);
const compile = (model: tfl.LayersModel) =>
  model.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError'});

/** A converted model whose adapters are trained a little. */
async function trained(
  model: tfl.LayersModel,
  {input = x(), target = y(), options = SMALL} = {},
): Promise<tfl.LayersModel> {
  applyCELoRA(model, options);
  compile(model);
  await train(model, input, target, 2);
  return model;
}

/** Saves, loads, and checks that outputs, weights, names and flags are the same. */
async function expectRoundTrip(model: tfl.LayersModel, input = x()): Promise<tfl.LayersModel> {
  const loaded = await reload(await artifactsOf(model));
  await expectSameOutputs(loaded, outputs(model, input), input);
  const names = (of: tfl.LayersModel) => of.weights.map(({originalName}) => originalName);
  expect(names(loaded)).to.deep.equal(names(model));
  expect(trainableNames(loaded)).to.deep.equal(trainableNames(model));
  const flags = (of: tfl.LayersModel) => of.layers.map((layer) => [layer.name, layer.trainable]);
  expect(flags(loaded)).to.deep.equal(flags(model));
  return loaded;
}

describeBackends('saving and loading CELoRADense', (backend) => {
  it('gives bit-equal outputs, the same names and trainable flags', async () => {
    const model = await trained(mlp(), {options: small(backend)});
    const loaded = await expectRoundTrip(model);
    expect(trainableNames(loaded)).to.have.members([
      'hidden/lora_a',
      'hidden/lora_b',
      'output/lora_a',
      'output/lora_b',
    ]);
    for (const name of ['hidden', 'output']) {
      const [before, after] = [celoraLayer(model, name), celoraLayer(loaded, name)];
      expect(after.config).to.deep.equal(before.config);
      expect(after.trainBase).to.equal(false);
    }
  });

  it('gives back a model made of celoraDense, of every option', async () => {
    const model = tfl.sequential({
      layers: [
        celoraDense({
          ...SMALL,
          units: 8,
          inputShape: [6],
          activation: 'softsign',
          rslora: true,
          axis: 'rows',
        }),
        celoraDense({units: 4, rank: 0, useBias: false, trainBase: true, score: 'weight', minSize: 5}),
        celoraDense({...SMALL, units: 3, loraDropout: 0.1, seed: 7, exactSteps: 2, exactEvery: 3}),
      ],
    });
    const loaded = await expectRoundTrip(model);
    for (const [i, layer] of loaded.layers.entries()) {
      expect(layer.getConfig()).to.deep.include({...celoraLayer(model, layer.name).config});
      expect(layer.name).to.equal(model.layers[i]!.name);
    }
  });
});

describeOnHost('going on with a saved CELoRADense', () => {
  it('restores the optimizer: training goes on as in the model that was never saved', async () => {
    const model = mlp();
    // exact gradients have no state that saving would lose
    applyCELoRA(model, {...SMALL, keep: 1});
    compile(model);
    await train(model, x(), y(), 3);
    const loaded = await reload(await artifactsOf(model, {includeOptimizer: true}));
    const fresh = await reload(await artifactsOf(model));
    compile(fresh);
    const losses = await train(loaded, x(), y(), 3);
    const [expected, without] = [await train(model, x(), y(), 3), await train(fresh, x(), y(), 3)];
    expect(losses[0]).to.equal(expected[0]);
    // tfjs saves how often Adam stepped, and raises β to that power: on a GPU not to the last bit
    for (const [i, loss] of losses.entries()) expect(loss).to.be.closeTo(expected[i]!, 1e-5 * loss);
    expect(without[2]).not.to.be.closeTo(expected[2]!, 1e-3 * expected[2]!);
  });

  it('restores the optimizer of approximated gradients too: the columns are selected anew', async () => {
    const model = await trained(mlp());
    const loaded = await reload(await artifactsOf(model, {includeOptimizer: true}));
    const base = await weightBits(loaded, /kernel|bias/);
    const [losses, expected] = [await train(loaded, x(), y(), 6), await train(model, x(), y(), 6)];
    expect(losses[0]).to.equal(expected[0]);
    expect(losses.at(-1)).to.be.below(losses[0]!);
    expect(await weightBits(loaded, /kernel|bias/)).to.deep.equal(base);
  });

  it('loads the weights of a stock model by name, strict or not', async () => {
    const stock = mlp();
    const weights: tf.NamedTensorMap = {};
    for (const weight of stock.weights) weights[weight.originalName] = weight.read();
    const model = mlp();
    applyCELoRA(model, SMALL);
    expect(() => model.loadWeights(weights)).to.throw('lora_');
    model.loadWeights(weights, false);
    await expectSameOutputs(model, outputs(stock, x()), x());
  });

  it('loads its own weights by name', async () => {
    const model = await trained(mlp());
    const other = mlp();
    applyCELoRA(other, SMALL);
    const weights: tf.NamedTensorMap = {};
    for (const weight of model.weights) weights[weight.originalName] = weight.read();
    other.loadWeights(weights);
    await expectSameOutputs(other, outputs(model, x()), x());
  });
});

describeOnHost('saving and loading converted graphs', () => {
  it('nested models', async () => {
    const inner = tfl.sequential({
      name: 'inner',
      layers: [mlp(), tfl.layers.dense({units: 5, name: 'last'})],
    });
    const model = tfl.sequential({layers: [inner, tfl.layers.dense({units: 4, name: 'top'})]});
    // an inputShape is known from the first layer of the innermost model
    await expectRoundTrip(await trained(model));
  });

  it('Dense in TimeDistributed', async () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.timeDistributed({
          layer: tfl.layers.dense({units: 5, name: 'wrapped'}),
          inputShape: [3, 6],
          name: 'times',
        }),
        tfl.layers.dense({units: 2, name: 'top'}),
      ],
    });
    const [input, target] = [randomTensor([4, 3, 6], 1), randomTensor([4, 3, 2], 2)];
    const loaded = await expectRoundTrip(await trained(model, {input, target}), input);
    expect(trainableNames(loaded)).to.deep.equal([
      'times/lora_a',
      'times/lora_b',
      'top/lora_a',
      'top/lora_b',
    ]);
    compile(loaded);
    const losses = await train(loaded, input, target, 10);
    expect(losses.at(-1)).to.be.below(losses[0]!);
  });

  it('a Dense that is used twice', async () => {
    const shared = tfl.layers.dense({units: 6, activation: 'tanh', name: 'twice'});
    const input = tfl.input({shape: [6]});
    const once = shared.apply(input) as tfl.SymbolicTensor;
    const twice = shared.apply(once) as tfl.SymbolicTensor;
    const top = tfl.layers.dense({units: 4, name: 'top'}).apply(twice) as tfl.SymbolicTensor;
    const loaded = await expectRoundTrip(await trained(tfl.model({inputs: input, outputs: top})));
    expect(loaded.getLayer('twice').inboundNodes.length).to.equal(2);
  });

  it('a loaded model merges into stock Dense layers', async () => {
    const loaded = await reload(await artifactsOf(await trained(mlp())));
    const artifacts = await artifactsOf(loaded);
    expect(JSON.stringify(artifacts.modelTopology)).to.include('CELoRADense');
    mergeCELoRA(loaded);
    const merged = await artifactsOf(loaded);
    expect(JSON.stringify(merged.modelTopology)).not.to.include('CELoRADense');
    expect(merged.weightSpecs!.map(({name}) => name)).to.have.members([
      'hidden/kernel',
      'hidden/bias',
      'output/kernel',
      'output/bias',
    ]);
    await expectSameOutputs(await reload(merged), outputs(loaded, x()), x());
  });
});
