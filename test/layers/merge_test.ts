import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {type CELoRADense, type CELoRADenseArgs, celoraDense} from '../../src/index.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {productsIn} from '../model/hooked.ts';
import {artifactsOf, bits, expectSameBits, randomTensor, reload} from '../model/models.ts';

/** One product against two: what float32 sums of a dozen terms of size 1 differ by. */
const TOLERANCE = 1e-5;

/** 9 → 7, rank 3, with an adapter that changes the output. */
function adapted(args: Partial<CELoRADenseArgs> = {}): CELoRADense {
  const layer = celoraDense({units: 7, rank: 3, alpha: 4, inputShape: [9], name: 'adapted', ...args});
  tfl.sequential({layers: [layer]});
  tf.tidy(() => layer.setWeights(layer.weights.map(({shape}, i) => randomTensor(shape as number[], i + 1))));
  return layer;
}

const kernelOf = (layer: CELoRADense): tf.Tensor => layer.baseVariables().kernel.read();
const outputOf = (layer: CELoRADense, x: tf.Tensor): tf.Tensor => layer.apply(x) as tf.Tensor;

describeBackends('merging CELoRADense', () => {
  const x = () => randomTensor([5, 9], 20);

  it('computes the same output by one product', async () => {
    for (const activation of ['linear', 'tanh'] as const) {
      const layer = adapted({activation});
      const unmerged = await outputOf(layer, x()).data();
      const sum = await tf.add(kernelOf(layer), layer.deltaWeight()).data();
      expect(layer.merged).to.equal(false);
      layer.merge();
      expect(layer.merged).to.equal(true);
      await expectClose(outputOf(layer, x()), unmerged, TOLERANCE);
      await expectClose(kernelOf(layer), sum, 0);
      expect(await productsIn(() => outputOf(layer, x()))).to.equal(1);
    }
  });

  it('merges once however often it is called, and unmerges bit for bit', async () => {
    const layer = adapted();
    const [kernel, output] = [await bits(kernelOf(layer)), await bits(outputOf(layer, x()))];
    layer.merge();
    const merged = await bits(kernelOf(layer));
    expect(merged).not.to.deep.equal(kernel);
    layer.merge();
    expect(await bits(kernelOf(layer))).to.deep.equal(merged);
    layer.unmerge();
    layer.unmerge();
    expect(layer.merged).to.equal(false);
    expect(await bits(kernelOf(layer))).to.deep.equal(kernel);
    expect(await bits(outputOf(layer, x()))).to.deep.equal(output);
  });

  it('keeps nothing after unmerge', () => {
    const layer = adapted();
    const {numTensors} = tf.memory();
    layer.merge();
    expect(tf.memory().numTensors).to.equal(numTensors + 1);
    layer.unmerge();
    expect(tf.memory().numTensors).to.equal(numTensors);
    layer.merge();
    layer.dispose();
    expect(tf.memory().numTensors).to.equal(numTensors - 4);
  });

  it('subtracts where the merged kernel was replaced', async () => {
    const layer = adapted();
    layer.merge();
    const other = randomTensor([9, 7], 30);
    layer.setWeights([other, randomTensor([7], 31)]);
    layer.unmerge();
    await expectClose(kernelOf(layer), await tf.sub(other, layer.deltaWeight()).data(), TOLERANCE);
  });

  it('passes the constraint by, which would clip a frozen kernel', async () => {
    const layer = adapted({kernelConstraint: tfl.constraints.maxNorm({maxValue: 0.1})});
    const sum = await tf.add(kernelOf(layer), layer.deltaWeight()).data();
    layer.merge();
    await expectClose(kernelOf(layer), sum, 0);
  });

  it('adds nothing at rank 0', async () => {
    const layer = adapted({rank: 0});
    const kernel = await bits(kernelOf(layer));
    await expectClose(layer.deltaWeight(), Array(63).fill(0), 0);
    layer.merge();
    expect(await bits(kernelOf(layer))).to.deep.equal(kernel);
  });

  it('leaves the adapter out while it is disabled', async () => {
    const layer = adapted();
    const dense = tfl.layers.dense({units: 7, weights: [kernelOf(layer), layer.getWeights()[3]!]});
    const output = await bits(outputOf(layer, x()));
    layer.adapterEnabled = false;
    await expectSameBits(outputOf(layer, x()), dense.apply(x()) as tf.Tensor);
    layer.adapterEnabled = true;
    expect(await bits(outputOf(layer, x()))).to.deep.equal(output);
  });

  it('saves and loads merged, as bit-equal outputs, and can still be unmerged', async () => {
    const layer = adapted();
    const model = tfl.sequential({layers: [layer]});
    const kernel = await kernelOf(layer).data();
    layer.merge();
    const output = await bits(outputOf(layer, x()));
    const loaded = await reload(await artifactsOf(model));
    const again = loaded.getLayer('adapted') as CELoRADense;
    expect(again.merged).to.equal(true);
    expect(await bits(outputOf(again, x()))).to.deep.equal(output);
    again.merge();
    expect(await bits(outputOf(again, x()))).to.deep.equal(output);
    again.unmerge();
    await expectClose(kernelOf(again), kernel, TOLERANCE);
    layer.unmerge();
    await expectClose(outputOf(again, x()), await outputOf(layer, x()).data(), TOLERANCE);
  });

  it('is refused before the layer is built', () => {
    expect(() => celoraDense({units: 2, name: 'new_one'}).merge()).to.throw(
      'new_one: the layer is not built',
    );
  });
});
