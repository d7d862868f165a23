import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {layerNorm} from '../../src/index.ts';
import {describeWithShaders, expectNoLeaks} from '../backends.ts';
import {onDevice} from '../ops/profile.ts';
import {random, tensorOf} from '../ops/values.ts';
import * as reference from '../reference/transformer.ts';
import {expectGradients, type Fused, kernelCounts, uploadsOf, variableOf} from './fused.ts';

const SHAPES = [[4, 16], [3, 1, 41], [1, 1], [6, 1], [1, 9], [5]];
/** Large, since without it the gradient of a row of two numbers is 0. */
const EPSILON = 0.1;

const norm = (shape: number[]): Fused => {
  const size = shape.at(-1)!;
  return {
    operands: [random(shape, 1), random([size], 2, {mean: 1}), random([size], 3)],
    op: (x, gamma, beta) => layerNorm(x!, gamma!, beta, {epsilon: EPSILON}),
    plain: (x, gamma, beta) => {
      const {mean, variance} = tf.moments(x!, -1, true);
      const normed = tf.div(tf.sub(x!, mean), tf.sqrt(tf.add(variance, EPSILON)));
      return tf.add(tf.mul(normed, gamma!), beta!);
    },
    formula: (x, gamma, beta) => reference.layerNorm(x!, gamma!, beta!, EPSILON),
  };
};

/** The same without beta. */
const withoutBeta = (shape: number[]): Fused => {
  const {operands, op, plain, formula} = norm(shape);
  return {
    operands: operands.slice(0, 2),
    op,
    plain: (x, gamma) => plain(x!, gamma!, tf.zerosLike(gamma!)),
    formula: (x, gamma) => formula(x!, gamma!, new Float64Array(gamma!.length)),
  };
};

describeWithShaders('gradient of layerNorm', (backend) => {
  onDevice(backend);

  for (const shape of SHAPES) {
    it(`equals differences and autodiff, with beta and without: [${shape}]`, async () => {
      await expectGradients(norm(shape));
      await expectGradients(withoutBeta(shape));
    });
  }

  it('leaves no tensor behind', () => {
    const tensors = norm([3, 7]).operands.map(tensorOf);
    return expectNoLeaks(() => tf.dispose(tf.grads(norm([3, 7]).op)(tensors)));
  });

  it('makes no arrays in JavaScript', () => {
    expect(uploadsOf(norm([4, 41]))).to.deep.equal([]);
  });

  it('computes nothing for frozen weights, or for an x that leads to no variable', async function () {
    // the profiler reads every result, which WebGPU in Node cannot
    if (backend === 'webgpu') this.skip();
    const [x, gamma, beta] = norm([3, 7]).operands.map((operand) => variableOf(operand)) as [
      tf.Variable,
      tf.Variable,
      tf.Variable,
    ];
    const y = () => layerNorm(x, gamma, beta);
    const ofX = await kernelCounts(y, [x]);
    expect(ofX).to.include({LayerNorm: 1, LayerNormGrad: 1});
    expect(ofX).not.to.have.any.keys('LayerNormWeightGrad');
    const ofWeights = await kernelCounts(y, [gamma, beta]);
    expect(ofWeights).to.include({LayerNorm: 1, LayerNormWeightGrad: 1});
    expect(ofWeights).not.to.have.any.keys('LayerNormGrad');
    expect(await kernelCounts(y, [beta])).not.to.have.any.keys('LayerNormGrad', 'LayerNormWeightGrad');
  });
});
