import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import fc from 'fast-check';
import {layerNorm} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import * as reference from '../reference/transformer.ts';
import {random, tensorOf} from './values.ts';

/** Ordinary, odd and degenerate ones. */
const SHAPES = [[4, 32], [5, 3, 123], [2, 3, 1, 8], [1, 1], [7, 1], [1, 123], [9]];

async function check(shape: number[], seed: number, epsilon = 1e-5): Promise<void> {
  const x = random(shape, seed, {mean: 2});
  const [gamma, beta] = [random([shape.at(-1)!], seed + 1, {mean: 1}), random([shape.at(-1)!], seed + 2)];
  const y = layerNorm(tensorOf(x), tensorOf(gamma), tensorOf(beta), {epsilon});
  expect(y.shape).to.deep.equal(shape);
  await expectClose(y, reference.layerNorm(x.values, gamma.values, beta.values, epsilon));
  const zeros = new Float64Array(gamma.values.length);
  const without = layerNorm(tensorOf(x), tensorOf(gamma), undefined, {epsilon});
  await expectClose(without, reference.layerNorm(x.values, gamma.values, zeros, epsilon));
}

describeWithShaders('layerNorm', (backend) => {
  for (const shape of SHAPES)
    it(`equals the formula, with beta and without: [${shape}]`, () => check(shape, 1));

  it('equals the formula for any shape', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({min: 1, max: 17}), {minLength: 1, maxLength: 4}),
        fc.integer({min: 1, max: 1e6}),
        // epsilon of the size of a variance: a row of two numbers may have nearly none, and float32 cannot tell it then
        (shape, seed) => check(shape, seed, 0.01),
      ),
      {seed: 20250203, numRuns: backend === 'webgpu' ? 6 : 40},
    ));

  it('counts epsilon, 1e-5 unless told otherwise', async () => {
    const x = random([3, 8], 1, {deviation: 3e-3});
    const [ones, zeros] = [new Float64Array(8).fill(1), new Float64Array(8)];
    const gamma = tf.ones([8]);
    await expectClose(layerNorm(tensorOf(x), gamma), reference.layerNorm(x.values, ones, zeros, 1e-5));
    await expectClose(
      layerNorm(tensorOf(x), gamma, undefined, {epsilon: 0.5}),
      reference.layerNorm(x.values, ones, zeros, 0.5),
    );
  });

  it('takes rows of one value', async () => {
    const y = layerNorm(tf.fill([2, 5], 7), tf.ones([5]), tf.fill([5], 3));
    await expectClose(y, new Float64Array(10).fill(3));
  });

  it('leaves no tensor behind', () => {
    const [x, gamma] = [tf.ones([2, 3]), tf.ones([3])];
    return expectNoLeaks(() => {
      layerNorm(x, gamma).dispose();
      layerNorm(x, gamma, gamma).dispose();
    });
  });

  it('names the argument that does not fit, and its value', () => {
    const [x, gamma] = [tf.ones([2, 3]), tf.ones([3])];
    const fails = (f: () => unknown, message: string) => expect(f).to.throw(`layerNorm: ${message}`);
    fails(
      () => layerNorm(tf.ones([2, 3], 'int32'), gamma),
      'x must be float32 of shape [..., any], but is int32 of shape [2,3]',
    );
    fails(
      () => layerNorm(x, tf.ones([2])),
      'gamma must be a float32 vector [3], but is float32 of shape [2]',
    );
    fails(
      () => layerNorm(x, gamma, tf.ones([3, 1])),
      'beta must be a float32 vector [3], but is float32 of shape [3,1]',
    );
    fails(() => layerNorm(x, gamma, gamma, {epsilon: 0}), 'epsilon must be a finite number > 0, but is 0');
  });
});
