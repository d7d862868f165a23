import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {addRMSNorm, rmsNorm} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {onDevice} from '../ops/profile.ts';
import {random, tensorOf} from '../ops/values.ts';
import * as reference from '../reference/transformer.ts';
import {expectGradients, type Fused, kernelCounts, uploadsOf, variableOf} from './fused.ts';

const SHAPES = [[4, 16], [3, 1, 41], [1, 1], [6, 1], [1, 9], [5]];
/** Large, since without it the gradient of a row of one number is 0. */
const EPSILON = 0.1;

/** Of stock ops. */
const plain = (x: tf.Tensor, weight: tf.Tensor) =>
  tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), -1, true), EPSILON))), weight);

const norm = (shape: number[], seed = 1): Fused => ({
  operands: [random(shape, seed), random([shape.at(-1)!], seed + 1, {mean: 1})],
  op: (x, weight) => rmsNorm(x!, weight!, {epsilon: EPSILON}),
  plain: (x, weight) => plain(x!, weight!),
  formula: (x, weight) => reference.rmsNorm(x!, weight!, EPSILON),
});

/** y and the sum one after the other. */
const addNorm = (shape: number[], seed = 1): Fused => ({
  operands: [random(shape, seed), random(shape, seed + 1), random([shape.at(-1)!], seed + 2, {mean: 1})],
  op: (x, residual, weight) => {
    const {y, sum} = addRMSNorm(x!, residual!, weight!, {epsilon: EPSILON});
    return tf.concat([y, sum]);
  },
  plain: (x, residual, weight) => {
    const sum = tf.add(x!, residual!);
    return tf.concat([plain(sum, weight!), sum]);
  },
  formula: (x, residual, weight) => {
    const sum = reference.add(x!, residual!);
    return Float64Array.from([...reference.rmsNorm(sum, weight!, EPSILON), ...sum]);
  },
});

describeWithShaders('gradient of rmsNorm', (backend) => {
  onDevice(backend);

  for (const shape of SHAPES) {
    it(`equals differences and autodiff, also after an addition: [${shape}]`, async () => {
      await expectGradients(norm(shape));
      await expectGradients(addNorm(shape));
    });
  }

  it('is right where only one of y and the sum is used', async () => {
    const {operands} = addNorm([3, 7]);
    const [x, residual, weight] = operands.map(tensorOf) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const dy = tensorOf(random([3, 7], 9));
    const toX = tf.grad((x: tf.Tensor) => addRMSNorm(x, residual, weight, {epsilon: EPSILON}).y)(x, dy);
    const expected = tf.grad((x: tf.Tensor) => plain(tf.add(x, residual), weight))(x, dy);
    await expectClose(toX, await expected.data());
    const ofSum = tf.grad((x: tf.Tensor) => addRMSNorm(x, residual, weight).sum)(x, dy);
    await expectClose(ofSum, await dy.data());
  });

  it('is right where x, the residual and the sum are used elsewhere too, several times', async () => {
    // tfjs sums up the gradients of each and disposes the parts: those of x and the residual are one tensor's data
    const {operands} = addNorm([3, 7]);
    const tensors = operands.map(tensorOf);
    const block = (normed: (x: tf.Tensor, residual: tf.Tensor, weight: tf.Tensor) => tf.Tensor[]) =>
      tf.grads((...inputs: tf.Tensor[]) => {
        const [x, residual, weight] = inputs as [tf.Tensor, tf.Tensor, tf.Tensor];
        const [y, sum] = normed(tf.square(x), tf.sin(residual), weight) as [tf.Tensor, tf.Tensor];
        const [again, more] = normed(y, sum, weight) as [tf.Tensor, tf.Tensor];
        return tf.addN([tf.mul(again, more), tf.mul(sum, y), tf.mul(x, residual), x, residual]);
      })(tensors);
    const actual = block((x, residual, weight) => {
      const {y, sum} = addRMSNorm(x, residual, weight, {epsilon: EPSILON});
      return [y, sum];
    });
    const expected = block((x, residual, weight) => {
      const sum = tf.add(x, residual);
      return [plain(sum, weight), sum];
    });
    for (const [i, gradient] of actual.entries()) await expectClose(gradient, await expected[i]!.data());
  });

  it('takes one tensor for both addends', async () => {
    const [x, , weight] = addNorm([2, 5]).operands.map(tensorOf) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const dy = tensorOf(random([2, 5], 9));
    const actual = tf.grad((x: tf.Tensor) => addRMSNorm(x, x, weight, {epsilon: EPSILON}).y)(x, dy);
    const expected = tf.grad((x: tf.Tensor) => plain(tf.add(x, x), weight))(x, dy);
    await expectClose(actual, await expected.data());
  });

  it('leaves no tensor behind', () => {
    const tensors = addNorm([3, 7]).operands.map(tensorOf);
    return expectNoLeaks(() => {
      tf.dispose(tf.grads(addNorm([3, 7]).op)(tensors));
      tf.dispose(tf.grads(norm([3, 7]).op)([tensors[0]!, tensors[2]!]));
    });
  });

  it('makes no arrays in JavaScript', () => {
    expect(uploadsOf(norm([4, 41]))).to.deep.equal([]);
    expect(uploadsOf(addNorm([4, 41]))).to.deep.equal([]);
  });

  it('computes nothing for a frozen weight, or for an x that leads to no variable', async function () {
    // the profiler reads every result, which WebGPU in Node cannot
    if (backend === 'webgpu') this.skip();
    const [x, residual, weight] = addNorm([3, 7]).operands.map((operand) => variableOf(operand)) as [
      tf.Variable,
      tf.Variable,
      tf.Variable,
    ];
    const one = () => rmsNorm(x, weight);
    const ofX = await kernelCounts(one, [x]);
    expect(ofX).to.include({RMSNorm: 1, RMSNormGrad: 1});
    expect(ofX).not.to.have.any.keys('RMSNormWeightGrad');
    const ofWeight = await kernelCounts(one, [weight]);
    expect(ofWeight).to.include({RMSNorm: 1, RMSNormWeightGrad: 1});
    expect(ofWeight).not.to.have.any.keys('RMSNormGrad');
    const two = () => {
      const {y, sum} = addRMSNorm(x, residual, weight);
      return tf.add(y, sum);
    };
    const ofBoth = await kernelCounts(two, [x, residual]);
    expect(ofBoth).to.include({AddRMSNorm: 1, RMSNormGrad: 1});
    expect(ofBoth).not.to.have.any.keys('RMSNormWeightGrad', 'RMSNorm');
  });
});
