import * as tf from '@tensorflow/tfjs-core';
import * as names from '../../../src/kernels/kernel_names.ts';
import * as training from '../../../src/kernels/training_kernel_names.ts';
import * as transformer from '../../../src/kernels/transformer_kernel_names.ts';

export type Inputs = Record<string, tf.Tensor> | tf.Tensor[];
/** A kernel with what it is given. */
export interface Case {
  kernel: string;
  inputs: () => Inputs;
  attrs?: object;
  /** The results are the same to the last bit. */
  exact?: boolean;
}

export const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);

/** k different numbers below `bound`, ascending. */
export const indices = (k: number, bound: number) =>
  tf.tensor1d(
    Array.from({length: k}, (_, i) => Math.floor((i * bound) / k)),
    'int32',
  );
const labels = (n: number, classes: number) =>
  tf.tensor1d(
    Array.from({length: n}, (_, i) => ((i * 7919) % (classes + 1)) - 1),
    'int32',
  );

// beyond one block, tile, part or table of each kernel, none of the sizes a multiple of theirs
export const [ROWS, IN, OUT, K, RANK] = [300, 70, 1100, 275, 3];
const FROZEN = 5;
export const factors = (rank = FROZEN) => ({frozenA: random([IN, rank], 5), frozenB: random([rank, OUT], 6)});
export const adapter = (rank = RANK) => ({loraA: random([IN, rank], 7), loraDy: random([ROWS, rank], 8)});
const rows = () => ({x: random([ROWS, 300], 1), dy: random([ROWS, 300], 2), weight: random([300], 3)});
/** n, k and m of products in which n or m is a rank: at most 16, or more. */
const SKINNY: [number, number, number][] = [
  [OUT, ROWS, RANK],
  [ROWS, OUT, 16],
  [16, 301, 257],
  [1, 1, 1],
  [40, 33, 17],
];
const shapes = Array.from({length: 70}, (_, i) => (i % 3 === 0 ? [] : [i, 5]));

export const CASES: Case[] = [
  ...['linear', 'relu', 'elu'].map((activation) => ({
    kernel: names.LoRAMatMul,
    inputs: () => [
      random([ROWS, IN], 1),
      random([IN, OUT], 2),
      random([OUT], 3),
      random([IN, RANK], 4),
      random([RANK, OUT], 5),
    ],
    attrs: {hasBias: true, hasAdapter: true, scale: 0.5, activation},
  })),
  ...[RANK, 20].map((rank) => ({
    kernel: names.LoRAGrad,
    inputs: () => ({
      x: random([ROWS, IN], 1),
      dy: random([ROWS, OUT], 2),
      loraX: random([ROWS, rank], 3),
      loraB: random([rank, OUT], 4),
    }),
    attrs: {scale: 0.5},
  })),
  ...[false, true].flatMap((transposed) => [
    {
      kernel: names.ActivationGrad,
      inputs: () => ({
        dy: random([ROWS, OUT], 1),
        kernel: random(transposed ? [OUT, IN] : [IN, OUT], 2),
        ...adapter(),
      }),
      attrs: {transposed},
    },
    {
      kernel: names.SampledActivationGrad,
      inputs: () => ({
        dy: random([ROWS, OUT], 1),
        kernel: random(transposed ? [OUT, IN] : [IN, OUT], 2),
        indices: indices(90, ROWS),
        weights: random([90], 3),
        ...(transposed ? {} : adapter()),
      }),
      attrs: {transposed},
    },
  ]),
  ...SKINNY.flatMap(([n, k, m]) =>
    [false, true].flatMap((transposeA) =>
      [false, true].map((transposeB) => ({
        kernel: names.LowRankMatMul,
        inputs: () => ({
          a: random(transposeA ? [k, n] : [n, k], 1),
          b: random(transposeB ? [m, k] : [k, m], 2),
        }),
        attrs: {transposeA, transposeB, scale: 2},
      })),
    ),
  ),
  ...(['product', 'weight', 'gradient'] as const).map((score) => ({
    kernel: names.ColumnScores,
    inputs: () => ({dy: random([ROWS, OUT], 1), norms: random([OUT], 2)}),
    attrs: {score},
  })),
  {
    kernel: names.SelectColumns,
    inputs: () => ({scores: random([5000], 1)}),
    attrs: {k: 1700},
    exact: true,
  },
  {
    // more than the threads hold in registers
    kernel: names.SelectColumns,
    inputs: () => ({scores: random([13_001], 3)}),
    attrs: {k: 3000},
    exact: true,
  },
  {
    // many equal ones: the first are taken
    kernel: names.SelectColumns,
    inputs: () => ({scores: tf.round(random([3000], 2))}),
    attrs: {k: 1500},
    exact: true,
  },
  {kernel: names.DeviceRandomUniform, inputs: () => [], attrs: {shape: [ROWS, 2, 17], seed: 3}, exact: true},
  {kernel: names.DropoutMask, inputs: () => [], attrs: {shape: [ROWS, IN], seed: 4, rate: 0.3}, exact: true},
  {
    kernel: names.SampleRows,
    inputs: () => ({dy: tf.mul(random([700, 9], 1), tf.exp(random([700, 1], 2)))}),
    attrs: {rows: 99, offset: 0.37},
  },
  {
    kernel: training.CountLabels,
    inputs: () => ({labels: labels(3000, 50)}),
    attrs: {classes: 40, ignoreLabel: 7},
    exact: true,
  },
  {
    kernel: training.CrossEntropy,
    inputs: () => ({logits: tf.mul(random([20, 1500], 1), 30), labels: labels(20, 1500)}),
  },
  {
    kernel: training.CrossEntropyGrad,
    inputs: () => ({
      logits: random([20, 1500], 1),
      labels: labels(20, 1500),
      top: tf.fill([20], 4),
      total: tf.fill([20], 40),
      scale: tf.scalar(0.05),
    }),
  },
  {kernel: training.GlobalNorm, inputs: () => ({flat: random([10_001], 1)}), attrs: {maxNorm: 1}},
  {
    kernel: training.AdamWStep,
    inputs: () => ({
      params: random([1001], 1),
      grads: random([1001], 2),
      m: random([1001], 3),
      v: tf.square(random([1001], 4)),
      scale: tf.scalar(0.3),
    }),
    attrs: {
      learningRate: 0.1,
      beta1: 0.9,
      beta2: 0.99,
      epsilon: 1e-6,
      weightDecay: 0.2,
      decayed: 500,
      step: 3,
    },
  },
  {
    kernel: training.PackTensors,
    inputs: () => shapes.filter((shape) => !shape.includes(0)).map((shape, i) => random(shape, i)),
    exact: true,
  },
  {
    kernel: training.UnpackTensors,
    inputs: () => ({flat: random([shapes.reduce((sum, shape) => sum + tf.util.sizeFromShape(shape), 0)], 1)}),
    attrs: {shapes},
    exact: true,
  },
  ...[transformer.RMSNorm, transformer.RMSNormGrad, transformer.RMSNormWeightGrad].map((kernel) => ({
    kernel,
    inputs: () => {
      const {x, dy, weight} = rows();
      if (kernel === transformer.RMSNorm) return {x, weight};
      return kernel === transformer.RMSNormGrad ? {dy, x, weight, dSum: random([ROWS, 300], 4)} : {dy, x};
    },
    attrs: {epsilon: 0.1},
  })),
  {
    kernel: transformer.AddRMSNorm,
    inputs: () => ({x: rows().x, residual: rows().dy, weight: rows().weight}),
    attrs: {epsilon: 0.1},
  },
  ...[transformer.LayerNorm, transformer.LayerNormGrad, transformer.LayerNormWeightGrad].map((kernel) => ({
    kernel,
    inputs: () => {
      const {x, dy, weight: gamma} = rows();
      if (kernel === transformer.LayerNorm) return {x, gamma, beta: random([300], 4)};
      return kernel === transformer.LayerNormGrad ? {dy, x, gamma} : {dy, x};
    },
    attrs: {epsilon: 0.1},
  })),
  ...['half', 'interleaved'].map((pairing) => ({
    kernel: transformer.RotaryEmbedding,
    inputs: () => ({x: random([2, 9, 5 * 14], 1), cos: random([9, 7], 2), sin: random([9, 7], 3)}),
    attrs: {pairing, inverse: pairing === 'half'},
  })),
  ...['silu', 'gelu'].flatMap((activation) =>
    [transformer.GatedUnit, transformer.GatedUnitGrad].map((kernel) => ({
      kernel,
      inputs: () => ({
        ...(kernel === transformer.GatedUnit ? {} : {dy: random([9, 101], 3)}),
        gate: random([9, 101], 1),
        up: random([9, 101], 2),
      }),
      attrs: {activation},
    })),
  ),
];
