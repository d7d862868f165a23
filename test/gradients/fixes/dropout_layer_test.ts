import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {deviceDropout, installGradientFixes} from '../../../src/index.ts';
import {seedFor} from '../../../src/random.ts';
import {describeBackends} from '../../backends.ts';
import {bits, expectSameBits, train} from '../../model/models.ts';
import {uploadsIn} from '../../support/uploads.ts';

const run = (layer: tfl.layers.Layer, x: tf.Tensor, training = true): tf.Tensor =>
  layer.apply(x, {training}) as tf.Tensor;

describeBackends("tfjs's Dropout with the fixes", (backend) => {
  let fixes: {dispose(): void};
  before(() => {
    fixes = installGradientFixes();
  });
  after(() => fixes.dispose());
  const ones = () => tf.fill([6, 40, 5], 1);

  it('drops by a mask made on the device, the same one at every call for a seed', async () => {
    const layer = tfl.layers.dropout({rate: 0.25, seed: 7});
    const expected = deviceDropout(ones(), 0.25, seedFor('', 7));
    await expectSameBits(run(layer, ones()), expected);
    await expectSameBits(run(layer, ones()), expected);
    const other = await bits(run(tfl.layers.dropout({rate: 0.25, seed: 8}), ones()));
    expect(other).not.to.deep.equal(await bits(expected));
    if (backend === 'webgpu') {
      const x = ones();
      expect(uploadsIn(() => run(layer, x))).to.deep.equal([]);
    }
  });

  it('without a seed drops others at every call, by the name of the layer', async () => {
    const layer = tfl.layers.dropout({rate: 0.5, name: 'first_drop'});
    const [first, second] = [await bits(run(layer, ones())), await bits(run(layer, ones()))];
    expect(first).not.to.deep.equal(second);
    expect(await bits(run(tfl.layers.dropout({rate: 0.5, name: 'first_drop'}), ones()))).to.deep.equal(first);
    expect(await bits(run(tfl.layers.dropout({rate: 0.5, name: 'other_drop'}), ones()))).not.to.deep.equal(
      first,
    );
  });

  it('leaves inference and the rates 0 and 1 to stock tfjs', async () => {
    const x = ones();
    await expectSameBits(run(tfl.layers.dropout({rate: 0.5}), x, false), x);
    for (const rate of [0, 1]) await expectSameBits(run(tfl.layers.dropout({rate}), x), x);
  });

  it('honours noise shapes, also those of SpatialDropout1D', async () => {
    const masked = tfl.layers.dropout({rate: 0.5, seed: 3, noiseShape: [6, 1, null as unknown as number]});
    const expected = deviceDropout(ones(), 0.5, seedFor('', 3), [6, 1, 5]);
    await expectSameBits(run(masked, ones()), expected);
    await expectSameBits(run(tfl.layers.spatialDropout1d({rate: 0.5, seed: 3}), ones()), expected);
  });

  it('calls hooks, and trains', async () => {
    const layer = tfl.layers.dropout({rate: 0.2, seed: 1});
    let calls = 0;
    layer.setCallHook(() => calls++);
    run(layer, ones());
    expect(calls).to.equal(1);
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({units: 8, inputShape: [4], kernelInitializer: 'ones'}),
        tfl.layers.dropout({rate: 0.2}),
        tfl.layers.dense({units: 1, kernelInitializer: 'ones'}),
      ],
    });
    model.compile({optimizer: tf.train.sgd(0.001), loss: 'meanSquaredError'});
    const losses = await train(model, tf.ones([6, 4]), tf.ones([6, 1]), 6);
    expect(losses.at(-1)).to.be.below(losses[0]!);
  });
});
