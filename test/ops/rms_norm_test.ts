import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import fc from 'fast-check';
import {addRMSNorm, rmsNorm} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import * as reference from '../reference/transformer.ts';
import {random, tensorOf} from './values.ts';

/** Ordinary, odd and degenerate ones. */
const SHAPES = [[4, 32], [5, 3, 123], [2, 3, 1, 8], [1, 1], [7, 1], [1, 123], [9]];

async function check(shape: number[], seed: number, epsilon = 1e-6): Promise<void> {
  const x = random(shape, seed);
  const residual = random(shape, seed + 1);
  const weight = random([shape.at(-1)!], seed + 2, {mean: 1});
  const y = rmsNorm(tensorOf(x), tensorOf(weight), {epsilon});
  expect(y.shape).to.deep.equal(shape);
  await expectClose(y, reference.rmsNorm(x.values, weight.values, epsilon));
  const both = addRMSNorm(tensorOf(x), tensorOf(residual), tensorOf(weight), {epsilon});
  expect(both.y.shape).to.deep.equal(shape);
  expect(both.sum.shape).to.deep.equal(shape);
  const sum = reference.add(x.values, residual.values);
  await expectClose(both.sum, sum);
  await expectClose(both.y, reference.rmsNorm(sum, weight.values, epsilon));
}

describeWithShaders('rmsNorm', (backend) => {
  for (const shape of SHAPES)
    it(`equals the formula, also after an addition: [${shape}]`, () => check(shape, 1));

  it('equals the formula for any shape', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({min: 1, max: 17}), {minLength: 1, maxLength: 4}),
        fc.integer({min: 1, max: 1e6}),
        (shape, seed) => check(shape, seed),
      ),
      {seed: 20250203, numRuns: backend === 'webgpu' ? 6 : 40},
    ));

  it('counts epsilon, 1e-6 unless told otherwise', async () => {
    const [x, ones] = [random([3, 8], 1, {deviation: 1e-3}), new Float64Array(8).fill(1)];
    const weight = tf.ones([8]);
    await expectClose(rmsNorm(tensorOf(x), weight), reference.rmsNorm(x.values, ones, 1e-6));
    await expectClose(rmsNorm(tensorOf(x), weight, {epsilon: 0.5}), reference.rmsNorm(x.values, ones, 0.5));
    await expectClose(
      addRMSNorm(tensorOf(x), tf.zeros([3, 8]), weight).y,
      reference.rmsNorm(x.values, ones, 1e-6),
    );
  });

  it('takes rows of zeros, and large numbers', async () => {
    await expectClose(rmsNorm(tf.zeros([2, 5]), tf.ones([5])), new Float64Array(10));
    await expectClose(rmsNorm(tf.fill([1, 4], -1e15), tf.ones([4])), [-1, -1, -1, -1]);
  });

  it('leaves no tensor behind', () => {
    const [x, weight] = [tf.ones([2, 3]), tf.ones([3])];
    return expectNoLeaks(() => {
      rmsNorm(x, weight).dispose();
      tf.dispose({...addRMSNorm(x, x, weight)});
    });
  });

  it('names the argument that does not fit, and its value', () => {
    const [x, weight] = [tf.ones([2, 3]), tf.ones([3])];
    const fails = (f: () => unknown, message: string) => expect(f).to.throw(message);
    fails(
      () => rmsNorm(tf.scalar(1), weight),
      'rmsNorm: x must be float32 of shape [..., any], but is float32 of shape []',
    );
    fails(
      () => rmsNorm(tf.ones([2, 3], 'int32'), weight),
      'rmsNorm: x must be float32 of shape [..., any], but is int32 of shape [2,3]',
    );
    fails(
      () => rmsNorm(x, tf.ones([2])),
      'rmsNorm: weight must be a float32 vector [3], but is float32 of shape [2]',
    );
    fails(
      () => addRMSNorm(x, tf.ones([3]), weight),
      'addRMSNorm: residual must be float32 of shape [2, 3], but is float32 of shape [3]',
    );
    fails(
      () => addRMSNorm(x, x, tf.ones([1, 3])),
      'addRMSNorm: weight must be a float32 vector [3], but is float32 of shape [1,3]',
    );
    for (const epsilon of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      fails(
        () => rmsNorm(x, weight, {epsilon}),
        `rmsNorm: epsilon must be a finite number > 0, but is ${epsilon}`,
      );
      fails(
        () => addRMSNorm(x, x, weight, {epsilon}),
        `addRMSNorm: epsilon must be a finite number > 0, but is`,
      );
    }
  });
});
