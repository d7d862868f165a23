import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {AdamW, celoraDense} from '../../src/index.ts';
import {expectNoLeaks} from '../backends.ts';
import {describeOnHost, expectSameBits, randomTensor} from '../model/models.ts';

const OPTIONS = {weightDecay: 0.1, clipNorm: 2, noDecay: /(bias|lora_a)$/i};

/** Of our layers with exact gradients: of an approximate one the selection is not saved. */
function modelOf(): tfl.LayersModel {
  const kernelInitializer = tfl.initializers.glorotNormal({seed: 3});
  const common = {rank: 2, keep: 1, trainBase: true, kernelInitializer};
  return tfl.sequential({
    layers: [
      celoraDense({...common, units: 12, activation: 'relu', inputShape: [6]}),
      celoraDense({...common, units: 3, name: 'under_scored'}),
    ],
  });
}

const compile = (model: tfl.LayersModel, optimizer: tf.Optimizer) =>
  model.compile({optimizer, loss: 'meanSquaredError'});

async function epochs(model: tfl.LayersModel, count: number): Promise<number[]> {
  const [x, y] = [randomTensor([16, 6], 1), randomTensor([16, 3], 2)];
  const {history} = await model.fit(x, y, {epochs: count, shuffle: false, batchSize: 8, verbose: 0});
  tf.dispose([x, y]);
  return history.loss as number[];
}

/** The model as it is loaded from what it saves, with its optimizer. */
async function reloaded(model: tfl.LayersModel): Promise<tfl.LayersModel> {
  let saved: tf.io.ModelArtifacts | undefined;
  const handler = tf.io.withSaveHandler(async (artifacts) => {
    saved = artifacts;
    return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
  });
  await model.save(handler, {includeOptimizer: true});
  const {weightData, ...rest} = saved!;
  const copied = JSON.parse(JSON.stringify(rest)) as tf.io.ModelArtifacts;
  return tfl.loadLayersModel({load: async () => ({...copied, weightData: weightData!})});
}

describeOnHost('AdamW in a model', () => {
  it('trains in fit, at a learning rate that is set between the epochs', async () => {
    const model = modelOf();
    const optimizer = new AdamW(0.02, OPTIONS);
    compile(model, optimizer);
    const losses = await epochs(model, 20);
    expect(losses.at(-1)!).to.be.below(losses[0]! * 0.7);
    expect(optimizer.iterations).to.equal(40);
    optimizer.learningRate = 0;
    const before = model.getWeights().map((tensor) => tf.clone(tensor));
    await epochs(model, 1);
    for (const [i, tensor] of model.getWeights().entries()) await expectSameBits(tensor, before[i]!);
    optimizer.dispose();
    model.dispose();
  });

  it('goes on after saving and loading with the model as if nothing had happened', async () => {
    const model = modelOf();
    compile(model, new AdamW(0.02, OPTIONS));
    await epochs(model, 3);
    const copy = await reloaded(model);
    const optimizer = copy.optimizer as AdamW;
    expect(optimizer).to.be.instanceOf(AdamW);
    expect(optimizer.constructor).to.equal(AdamW);
    expect(optimizer.getConfig()).to.deep.equal((model.optimizer as AdamW).getConfig());
    expect(optimizer.iterations).to.equal(6);
    // saved again before a step is taken, too
    const again = await reloaded(copy);
    const losses = await epochs(model, 3);
    for (const loaded of [copy, again]) {
      expect(await epochs(loaded, 3)).to.deep.equal(losses);
      for (const [i, tensor] of loaded.getWeights().entries())
        await expectSameBits(tensor, model.getWeights()[i]!);
    }
    // were the moments lost, the losses would differ
    const fresh = await reloaded(model);
    await fresh.optimizer.setWeights([{name: 'iter', tensor: tf.scalar(12, 'int32')}]);
    expect(await epochs(fresh, 1)).not.to.deep.equal(await epochs(model, 1));
    for (const one of [model, copy, again, fresh]) {
      one.optimizer.dispose();
      one.dispose();
    }
  });

  it('hands its moments to another optimizer', async () => {
    const [a, b] = [0, 1].map(() => tf.variable(tf.tensor1d([1, -2, 3])));
    const [first, second] = [new AdamW(0.1), new AdamW(0.1)];
    const step = (optimizer: AdamW, variable: tf.Variable) =>
      optimizer.minimize(() => tf.sum(tf.square(variable)), false, [variable]);
    step(first, a!);
    step(first, a!);
    const weights = await first.getWeights();
    expect(weights.map(({name}) => name)).to.deep.equal(['iter', `${a!.name}/m`, `${a!.name}/v`]);
    expect(weights.map(({tensor}) => tensor.shape)).to.deep.equal([[], [3], [3]]);
    await second.setWeights(weights);
    b!.assign(a!);
    step(first, a!);
    step(second, b!);
    await expectSameBits(b!, a!);
    const later = await first.getWeights();
    const odd = await second.setWeights(later.slice(0, 2)).catch((error: Error) => error.message);
    expect(odd).to.equal('AdamW: setWeights takes an odd number of tensors, but got 2');
    await second.setWeights(later);
    const other = tf.variable(tf.zeros([2]));
    expect(() => step(second, other)).to.throw('has shape [2], but the moments loaded for it [3]');
    first.dispose();
    second.dispose();
  });

  it('leaves nothing behind after fitting, saving and loading', async () => {
    const [x, y] = [randomTensor([8, 6], 1), randomTensor([8, 3], 2)];
    await expectNoLeaks(async () => {
      const model = modelOf();
      compile(model, new AdamW(0.02, OPTIONS));
      await model.fit(x, y, {epochs: 2, verbose: 0});
      const copy = await reloaded(model);
      await copy.fit(x, y, {epochs: 2, verbose: 0});
      for (const one of [model, copy]) {
        one.optimizer.dispose();
        one.dispose();
      }
    });
  });
});
