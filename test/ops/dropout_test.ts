import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {deviceDropout} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {bits} from '../model/models.ts';
import {hashUniform} from '../reference/random_uniform.ts';

/** What is left of ones. */
const expected = (size: number, rate: number, seed: number): number[] =>
  Array.from(hashUniform(size, seed), (u) => (u < Math.fround(1 - rate) ? 1 / (1 - rate) : 0));

describeWithShaders('deviceDropout', () => {
  for (const rate of [0.1, 0.5, 0.9]) {
    it(`drops ${rate} of the numbers and scales the others`, async () => {
      const x = tf.fill([5, 123, 7], 2);
      const y = deviceDropout(x, rate, 3);
      expect(y.shape).to.deep.equal(x.shape);
      await expectClose(
        y,
        expected(x.size, rate, 3).map((value) => 2 * value),
        1e-6,
      );
      const dropped = (await y.data()).filter((value) => value === 0).length / x.size;
      expect(dropped).to.be.within(rate - 0.05, rate + 0.05);
    });
  }

  it('has the mask as its gradient, and leaves nothing', async () => {
    const [x, dy] = [tf.fill([1, 9], 3), tf.fill([1, 9], -2)];
    await expectNoLeaks(async () => {
      const dx = tf.tidy(() => tf.grad((input: tf.Tensor) => deviceDropout(input, 0.4, 8))(x, dy));
      await expectClose(
        dx,
        expected(9, 0.4, 8).map((value) => -2 * value),
        1e-6,
      );
      dx.dispose();
    });
  });

  it('shares numbers of a smaller mask', async () => {
    const y = await deviceDropout(tf.ones([4, 6, 5]), 0.5, 1, [4, 1, 5]).array();
    const mask = expected(20, 0.5, 1);
    for (const [i, plane] of (y as number[][][]).entries()) {
      for (const row of plane) expect(row).to.deep.equal(mask.slice(5 * i, 5 * i + 5));
    }
  });

  it('at rate 0 gives x, as another tensor', async () => {
    const x = tf.randomNormal([3, 4], 0, 1, 'float32', 1);
    const y = deviceDropout(x, 0, 1);
    expect(await bits(y)).to.deep.equal(await bits(x));
    y.dispose();
    expect(x.isDisposed).to.equal(false);
  });

  it('refuses integers, rates outside of [0, 1), and wrong seeds and shapes by name', () => {
    expect(() => deviceDropout(tf.ones([2], 'int32'), 0.5, 1)).to.throw(
      'deviceDropout: x must be float32, but is int32 of shape [2]',
    );
    for (const rate of [-0.1, 1, Number.NaN]) {
      expect(() => deviceDropout(tf.ones([2]), rate, 1)).to.throw(
        `deviceDropout: rate must be a number with 0 ≤ rate < 1, but is ${rate}`,
      );
    }
    expect(() => deviceDropout(tf.ones([2]), 0.5, -1)).to.throw(
      'deviceDropout: seed must be an integer from 0 to 2³² − 1, but is -1',
    );
    expect(() => deviceDropout(tf.ones([2]), 0.5, 1, [-2])).to.throw(
      'deviceDropout: maskShape must be an array of integers ≥ 0, but is [-2]',
    );
  });
});
