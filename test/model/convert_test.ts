import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, CELoRADense, mergeCELoRA, removeCELoRA} from '../../src/index.ts';
import {layerTree} from '../../src/model/layer_tree.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {asStock, expectSameOutputs, outputs, small, train, weightBits} from './models.ts';
import {ZOO} from './zoo.ts';

const compile = (model: tfl.LayersModel) =>
  model.compile({
    optimizer: tf.train.sgd(0.05),
    loss: model.outputs.map(() => 'meanSquaredError'),
  });

const adaptedNames = (model: tfl.LayersModel): string[] =>
  layerTree(model).leaves.flatMap((layer) => (layer instanceof CELoRADense ? [layer.name] : []));

/** The trainable flag of every layer and weight. */
const flags = (model: tfl.LayersModel) => {
  const {containers, wrappers, leaves} = layerTree(model);
  const all = [...containers, ...wrappers, ...leaves];
  return all.map((layer) => [
    layer.name,
    layer.trainable,
    ...layer.weights.map(({originalName, trainable}) => `${originalName}: ${trainable}`),
  ]);
};

/** tfjs disposes a layer once for each model that it stands in, though it counts each use: the last ones are ours. */
function disposeAll(model: tfl.LayersModel): void {
  const layers = layerTree(model).leaves.map((layer) => ({
    layer,
    weights: layer.weights.map((w) => w.read()),
  }));
  model.dispose();
  for (const {layer, weights} of layers) if (weights.some(({isDisposed}) => !isDisposed)) layer.dispose();
}

for (const {title, make, inputs, targets, dense, stock, webgpu} of ZOO) {
  describeBackends(`converting a model: ${title}`, (backend) => {
    if (backend === 'webgpu' && !webgpu) return;
    const denseNames = Object.keys(dense);
    const adapters = denseNames.length * 2;
    const run = (model: tfl.LayersModel, x: tf.Tensor[], y: tf.Tensor[], steps: number) => {
      const steady = () => train(model, x, y, steps);
      return stock ? asStock(steady) : steady();
    };

    it('changes no output, shares the base, and adds the adapters alone', async () => {
      const model = make();
      const [x, before] = [inputs(), outputs(model, inputs())];
      const weights = model.weights.map(({id}) => id);
      const {numTensors, numDataBuffers} = tf.memory();
      const report = applyCELoRA(model, small(backend));
      expect(tf.memory().numTensors).to.equal(numTensors + adapters);
      expect(tf.memory().numDataBuffers).to.equal(numDataBuffers + adapters);
      await expectSameOutputs(model, before, x);
      expect(adaptedNames(model)).to.have.members(denseNames);
      expect(report.layers.map(({name}) => name)).to.have.members(denseNames);
      const kept = model.weights.filter(({originalName}) => !originalName.includes('lora_'));
      expect(kept.map(({id}) => id)).to.have.members(weights);
      expect(report.recompile).to.equal(false);
      const rank = 2;
      const params = Object.values(dense).reduce((sum, [a, b]) => sum + rank * (a + b), 0);
      expect(report.trainableParams).to.equal(params);
      const sizes = [...new Set(model.weights)].map(({shape}) => tf.util.sizeFromShape(shape as number[]));
      expect(report.totalParams).to.equal(sizes.reduce((sum, size) => sum + size, 0));
      expect(new Set(model.trainableWeights).size).to.equal(adapters);
    });

    it('trains the adapters alone; the base stays bit for bit, and outputs come back without them', async () => {
      const model = make();
      const [x, y] = [inputs(), targets()];
      const before = outputs(model, x);
      const base = await weightBits(model);
      const flagsBefore = flags(model);
      applyCELoRA(model, small(backend));
      compile(model);
      const adaptersBefore = await weightBits(model, /lora_/);
      const losses = await run(model, x, y, 5);
      expect(Math.min(...losses)).to.be.below(losses[0]!);
      const after = await weightBits(model, /./);
      for (const [name, values] of Object.entries(base)) expect(after[name], name).to.deep.equal(values);
      for (const [name, values] of Object.entries(adaptersBefore)) {
        expect(after[name], name).not.to.deep.equal(values);
      }
      removeCELoRA(model);
      expect(await weightBits(model)).to.deep.equal(base);
      expect(flags(model)).to.deep.equal(flagsBefore);
      await expectSameOutputs(model, before, x);
    });

    it('merges to the same outputs and the same Dense objects', async () => {
      const model = make();
      const [x, y] = [inputs(), targets()];
      const {leaves} = layerTree(model);
      const flagsBefore = flags(model);
      applyCELoRA(model, small(backend));
      compile(model);
      await run(model, x, y, 2);
      const adapted = await Promise.all(outputs(model, x).map((output) => output.data()));
      mergeCELoRA(model);
      expect(adaptedNames(model)).to.deep.equal([]);
      expect(layerTree(model).leaves).to.have.ordered.members(leaves);
      expect(flags(model)).to.deep.equal(flagsBefore);
      for (const [i, output] of outputs(model, x).entries()) await expectClose(output, adapted[i]!, 1e-5);
    });

    it('leaks nothing: disposed after conversion, training and merging, all tensors are gone', async () => {
      const [x, y] = [inputs(), targets()];
      const {numTensors, numDataBuffers} = tf.memory();
      for (const end of backend === 'webgpu' ? [mergeCELoRA] : [undefined, mergeCELoRA, removeCELoRA]) {
        const model = make();
        applyCELoRA(model, small(backend));
        model.compile({optimizer: 'adam', loss: model.outputs.map(() => 'meanSquaredError')});
        await run(model, x, y, 3);
        end?.(model);
        disposeAll(model);
        expect(tf.memory().numTensors, end?.name).to.equal(numTensors);
        expect(tf.memory().numDataBuffers, end?.name).to.equal(numDataBuffers);
      }
    });
  });
}
