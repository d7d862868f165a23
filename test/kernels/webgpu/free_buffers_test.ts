import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {fineTune, releaseFreeBuffers} from '../../../src/index.ts';
import {describeBackends, expectClose} from '../../backends.ts';
import {oneWeight} from '../../train/runs.ts';

const allocated = (): number =>
  (tf.memory() as tf.MemoryInfo & {numBytesAllocatedInGPU: number}).numBytesAllocatedInGPU;

describeBackends('releaseFreeBuffers', (backend) => {
  if (backend !== 'webgpu') {
    it('does nothing', () => {
      expect(releaseFreeBuffers()).to.equal(0);
    });
    return;
  }

  it('gives back what disposed tensors had, also those whose commands are not submitted, and nothing else', async () => {
    releaseFreeBuffers();
    const kept = tf.add(tf.range(0, 1000), 1);
    const before = allocated();
    const result = tf.tidy(() => tf.sum(tf.mul(tf.add(kept, tf.ones([50, 1000])), 2), 0));
    const bytes = releaseFreeBuffers();
    // the ones, the sum and the product, 200 kB each
    expect(bytes).to.be.at.least(3 * 200_000);
    expect(allocated()).to.be.within(before, before + 4 * 1000 + 4096);
    expect(releaseFreeBuffers()).to.equal(0);
    const expected = Float64Array.from({length: 1000}, (_, i) => 50 * 2 * (i + 2));
    await expectClose(result, expected, 1e-6);
    await expectClose(
      tf.mul(kept, 1),
      Float64Array.from({length: 1000}, (_, i) => i + 1),
      1e-6,
    );
    tf.dispose([kept, result]);
  });

  it('is how fineTune begins', async () => {
    const large = tf.add(tf.zeros([1000, 1000]), 1);
    await large.data();
    large.dispose();
    const held = allocated();
    const {model, data, loss, weight} = oneWeight();
    await fineTune({model, data, loss, steps: 2, learningRate: 0.5});
    expect(await weight()).to.not.equal(0);
    expect(allocated()).to.be.below(held - 4_000_000 + 100_000);
    model.dispose();
  });
});
