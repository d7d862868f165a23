import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {ActivationGradient, installGradientFixes, loraMatMul} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {watchUploads} from '../support/uploads.ts';

type Op = (...xs: tf.Tensor[]) => tf.Tensor;
interface Case {
  op: Op;
  /** Shapes of the operands that a gradient is computed for. */
  shapes: number[][];
  /** Backends where tfjs lacks a kernel of the gradient. */
  missing?: string[];
}

const of = (op: Op, ...shapes: number[][]): Case => ({op, shapes});
/** More than 1000 numbers, below which WebGPU computes in JavaScript. */
const M = [40, 30];
const V = [30];
const IMAGE = [2, 12, 12, 6];
const image = (op: (x: tf.Tensor4D) => tf.Tensor): Case => of(op as Op, IMAGE);
const unary = (op: (x: tf.Tensor) => tf.Tensor): Case => of(op, M);
const tokens = () => tf.tensor1d([3, 1, 4, 1, 5], 'int32');

/**
 * The gradients that language models and convolutional networks use. Not prod's: in tfjs 4.22 it fails unless tfjs's
 * chained operations are imported.
 */
const CASES: Record<string, Case> = {
  abs: unary(tf.abs),
  add: of(tf.add as Op, M, V),
  addN: of((...xs) => tf.addN(xs), M, M),
  argMax: unary((x) => tf.mul(x, tf.cast(tf.expandDims(tf.argMax(x, 1), 1), 'float32'))),
  avgPool: image((x) => tf.avgPool(x, 3, 2, 'same')),
  batchMatMul: of((a, b) => tf.matMul(a, b, true, false), [2, 30, 20], [2, 30, 25]),
  batchNorm: of(
    (x, mean, variance, scale, offset) =>
      tf.batchNorm4d(
        x as tf.Tensor4D,
        mean as tf.Tensor1D,
        tf.add(tf.square(variance), 1) as tf.Tensor1D,
        offset as tf.Tensor1D,
        scale as tf.Tensor1D,
      ),
    IMAGE,
    [6],
    [6],
    [6],
    [6],
  ),
  broadcastTo: of((x) => tf.broadcastTo(x, [4, 40, 30]), [1, 40, 30]),
  cast: unary((x) => tf.cast(x, 'float32')),
  clipByValue: unary((x) => tf.clipByValue(x, -0.5, 0.5)),
  concat: of((...xs) => tf.concat(xs, 1), M, [40, 5]),
  conv2d: {
    ...of((x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'), IMAGE, [3, 3, 6, 8]),
    missing: ['wasm'],
  },
  cos: unary(tf.cos),
  cosineDistance: of((a) => tf.losses.cosineDistance(tf.fill(M, 0.5), a, 1), M),
  cumsum: unary((x) => tf.cumsum(x, 1)),
  depthwiseConv2d: {
    ...of((x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'), IMAGE, [3, 3, 6, 1]),
    missing: ['wasm'],
  },
  div: of((a, b) => tf.div(a, tf.add(tf.square(b), 1)), M, V),
  elu: unary(tf.elu),
  erf: unary(tf.erf),
  exp: unary(tf.exp),
  expandDims: unary((x) => tf.expandDims(x, 1)),
  fusedMatMul: of(
    (a, b, bias) => tf.fused.matMul({a: a as tf.Tensor2D, b: b as tf.Tensor2D, bias}),
    M,
    [30, 35],
    [35],
  ),
  gather: {...of((x) => tf.gather(x, tokens()), M), missing: ['wasm']},
  gelu: unary((x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1))),
  huberLoss: of((a) => tf.losses.huberLoss(tf.fill(M, 0.5), a), M),
  layerNorm: unary((x) => {
    const {mean, variance} = tf.moments(x, 1, true);
    return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5)));
  }),
  leakyRelu: unary(tf.leakyRelu),
  localResponseNormalization: image((x) => tf.localResponseNormalization(x)),
  log: unary((x) => tf.log(tf.add(tf.square(x), 1))),
  log1p: unary((x) => tf.log1p(tf.square(x))),
  logSoftmax: unary((x) => tf.logSoftmax(x)),
  logSumExp: unary((x) => tf.logSumExp(x, 1)),
  max: unary((x) => tf.max(x, 1)),
  maxPool: image((x) => tf.maxPool(x, 3, 2, 'same')),
  maximum: of(tf.maximum as Op, M, M),
  mean: unary((x) => tf.mean(x, 0)),
  meanOfAll: unary((x) => tf.mean(x)),
  meanSquaredError: of((a) => tf.losses.meanSquaredError(tf.fill(M, 0.5), a), M),
  min: unary((x) => tf.min(x, 0)),
  minimum: of(tf.minimum as Op, M, M),
  mirrorPad: unary((x) =>
    tf.mirrorPad(
      x,
      [
        [1, 1],
        [2, 0],
      ],
      'reflect',
    ),
  ),
  mul: of(tf.mul as Op, M, [40, 1]),
  neg: unary(tf.neg),
  norm: unary((x) => tf.norm(x, 'euclidean', 1)),
  oneHot: unary((x) => tf.mul(x, tf.oneHot(tf.argMax(x, 1), 30))),
  pad: unary((x) =>
    tf.pad(x, [
      [1, 2],
      [0, 3],
    ]),
  ),
  pow: unary((x) => tf.pow(x, 3)),
  powOfExponent: of((a, b) => tf.pow(tf.add(tf.square(a), 1), b), M, V),
  prelu: of((x, alpha) => tf.prelu(x, alpha), M, V),
  reciprocal: unary((x) => tf.reciprocal(tf.add(tf.square(x), 1))),
  relu: unary(tf.relu),
  relu6: unary(tf.relu6),
  reshape: unary((x) => tf.reshape(x, [30, 40])),
  resizeBilinear: image((x) => tf.image.resizeBilinear(x, [20, 20])),
  resizeNearestNeighbor: image((x) => tf.image.resizeNearestNeighbor(x, [20, 20])),
  reverse: unary((x) => tf.reverse(x, 1)),
  rsqrt: unary((x) => tf.rsqrt(tf.add(tf.square(x), 1))),
  select: of((a, b) => tf.where(tf.greater(tf.fill(M, 0.5), 0.2), a, b), M, M),
  selu: unary(tf.selu),
  sigmoid: unary(tf.sigmoid),
  sigmoidCrossEntropy: of((a) => tf.losses.sigmoidCrossEntropy(tf.fill(M, 0.5), a), M),
  sin: unary(tf.sin),
  slice: unary((x) => tf.slice(x, [1, 2], [20, 7])),
  softmax: unary((x) => tf.softmax(x)),
  softmaxCrossEntropy: of((a) => tf.losses.softmaxCrossEntropy(tf.fill(M, 1 / 30), a), M),
  softplus: unary(tf.softplus),
  split: unary((x) => tf.split(x, 3, 1)[1]!),
  sqrt: unary((x) => tf.sqrt(tf.add(tf.square(x), 1))),
  square: unary(tf.square),
  squaredDifference: of(tf.squaredDifference as Op, M, M),
  squeeze: of((x) => tf.squeeze(x, [1]), [40, 1, 30]),
  stack: of((...xs) => tf.stack(xs, 1), M, M),
  sub: of(tf.sub as Op, M, V),
  sum: unary((x) => tf.sum(x, 1)),
  sumOfAll: unary((x) => tf.sum(x)),
  tanh: unary(tf.tanh),
  tile: of((x) => tf.tile(x, [3, 2]), M),
  transpose: unary((x) => tf.transpose(x)),
  unsortedSegmentSum: {...of((x) => tf.unsortedSegmentSum(x, tokens(), 6), [5, 300]), missing: ['wasm']},
  unstack: of((x) => tf.unstack(x, 0)[1]!, [2, 40, 30]),
};

describeBackends('arrays made in JavaScript in a backward pass', (backend) => {
  let fixes: {dispose(): void};
  before(() => {
    fixes = installGradientFixes();
    tf.env().set('IS_TEST', false); // a custom gradient of stock tfjs trips its own leak check
  });
  after(() => {
    tf.env().set('IS_TEST', true);
    fixes.dispose();
  });

  /** A tensor on the device: what is made in JavaScript stays there until it is used. */
  const onDevice = (shape: number[], seed: number): tf.Tensor =>
    tf.add(tf.randomNormal(shape, 0, 1, 'float32', seed), tf.fill(shape, 0));

  /** What is made in JavaScript in the backward pass of op, for a dy on the device. */
  function uploadsOf(op: Op, shapes: number[][]): number[][] {
    const xs = shapes.map((shape, i) => onDevice(shape, i + 1));
    const dy = tf.tidy(() => onDevice(op(...xs).shape, 9));
    let watch: ReturnType<typeof watchUploads> | undefined;
    const forward = (...inputs: tf.Tensor[]) => {
      const y = op(...inputs);
      watch = watchUploads();
      return y;
    };
    try {
      tf.grads(forward)(xs, dy);
      return watch!.shapes;
    } finally {
      watch?.dispose();
    }
  }

  /** The same; skips what TensorFlow has cuDNN for, where there is none. */
  function uploadsOrSkip(context: Mocha.Context, op: Op, shapes: number[][]): number[][] {
    try {
      return uploadsOf(op, shapes);
    } catch (error) {
      if (!/No DNN (support for|in) stream/.test((error as Error).message)) throw error;
      context.test!.title += ': there is no cuDNN';
      return context.skip();
    }
  }

  for (const [name, {op, shapes, missing = []}] of Object.entries(CASES)) {
    if (missing.includes(backend)) it.skip(`${name}: tfjs has no kernel for it on ${backend}`);
    else {
      it(`are none: ${name}`, function () {
        expect(uploadsOrSkip(this, op, shapes)).to.deep.equal([]);
      });
    }
  }

  it('are found where there are some', () => {
    const ones = tf.customGrad((x) => ({
      value: tf.clone(x as tf.Tensor),
      gradFunc: (dy) => tf.mul(dy, tf.ones(M)),
    }));
    expect(uploadsOf((x) => ones(x), [M])).to.deep.equal([M]);
  });

  it('are none: a loss that is a scalar, whose dy tfjs makes', () => {
    for (const loss of [tf.sum, tf.mean] as ((x: tf.Tensor) => tf.Tensor)[]) {
      const x = onDevice(M, 1);
      const watch = watchUploads();
      try {
        tf.grad((input: tf.Tensor) => loss(tf.square(input)))(x);
        expect(watch.shapes).to.deep.equal([]);
      } finally {
        watch.dispose();
      }
    }
  });

  /** x, A and B. */
  const OPERANDS = [
    [30, 64],
    [64, 4],
    [4, 40],
  ];

  for (const axis of ['columns', 'rows'] as const) {
    it(`are none: our own product, ${axis} kept`, () => {
      const gradient = new ActivationGradient({
        axis,
        keep: 0.5,
        frozenRank: 4,
        refreshEvery: 100,
        exactEvery: 0,
      });
      const kernel = onDevice([64, 40], 1);
      const op: Op = (x, loraA, loraB) => loraMatMul({x: x!, kernel, loraA, loraB, gradient});
      // the first pass factors the kernel, from a start that is made in JavaScript: once for a kernel
      expect(uploadsOf(op, OPERANDS).length > 0).to.equal(axis === 'columns');
      expect(uploadsOf(op, OPERANDS)).to.deep.equal([]);
      expect(gradient.stats.exactPasses).to.equal(0);
      gradient.dispose();
    });
  }
});
