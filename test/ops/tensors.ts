import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import type {LoRAMatMulArgs} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import type {Product} from '../reference/lora.ts';
import {type Matrix, randomMatrix, zeros} from '../reference/matrix.ts';

/** The sizes of one product; rank 0 = no adapter. */
export interface Sizes {
  rows: number;
  inputs: number;
  units: number;
  rank: number;
  bias: boolean;
}

const sizes = (rows: number, inputs: number, units: number, rank: number, bias = true): Sizes => ({
  rows,
  inputs,
  units,
  rank,
  bias,
});

/** Ordinary, odd and degenerate ones. */
export const SIZES: readonly Sizes[] = [
  sizes(16, 32, 48, 4),
  sizes(5, 123, 123, 3),
  sizes(7, 33, 257, 5, false),
  sizes(1, 1, 1, 1),
  sizes(1, 9, 6, 2),
  sizes(6, 1, 5, 1),
  sizes(6, 5, 1, 1),
  sizes(3, 4, 2, 6),
  sizes(8, 12, 20, 0),
  sizes(2, 1, 3, 0, false),
];

export const title = ({rows, inputs, units, rank, bias}: Sizes): string =>
  `${rows}×${inputs}×${units}, rank ${rank}, ${bias ? 'bias' : 'no bias'}`;

/** Sizes for property-based tests. */
export const anySizes: fc.Arbitrary<Sizes> = fc.record({
  rows: fc.integer({min: 1, max: 19}),
  inputs: fc.integer({min: 1, max: 41}),
  units: fc.integer({min: 1, max: 41}),
  rank: fc.integer({min: 0, max: 6}),
  bias: fc.boolean(),
});

/** Random operands, of a scale at which y is about 1. */
export function randomProduct({rows, inputs, units, rank, bias}: Sizes, seed = 1): Product {
  const random = randomStream(seed);
  const deviation = 1 / Math.sqrt(inputs);
  return {
    x: randomMatrix(rows, inputs, random),
    kernel: randomMatrix(inputs, units, random, deviation),
    bias: bias ? randomMatrix(1, units, random) : undefined,
    loraA: rank > 0 ? randomMatrix(inputs, rank, random, deviation) : undefined,
    loraB: rank > 0 ? randomMatrix(rank, units, random) : undefined,
    scale: 0.75,
  };
}

/** dy of that product. */
export const randomDy = ({rows, units}: Sizes, seed = 2): Matrix =>
  randomMatrix(rows, units, randomStream(seed));

/** The tensor of a reference matrix. */
export const tensorOf = ({data, rows, columns}: Matrix): tf.Tensor2D =>
  tf.tensor2d(Float32Array.from(data), [rows, columns]);

/** The reference matrix of a tensor, of its last dimension's columns. */
export async function matrixOf(tensor: tf.Tensor): Promise<Matrix> {
  const columns = tensor.shape.at(-1) ?? 1;
  return {...zeros(tensor.size / columns, columns), data: Float64Array.from(await tensor.data())};
}

/** The tensors of a product's operands. */
export function tensorsOf({
  x,
  kernel,
  bias,
  loraA,
  loraB,
  scale,
  activation,
}: Product): LoRAMatMulArgs & {kernel: tf.Tensor} {
  return {
    x: tensorOf(x),
    kernel: tensorOf(kernel),
    bias: bias && tf.tensor1d(Float32Array.from(bias.data)),
    loraA: loraA && tensorOf(loraA),
    loraB: loraB && tensorOf(loraB),
    scale,
    ...(activation ? {activation} : {}),
  };
}

/** Checks a property of random sizes on one backend: few runs where each size costs a shader. */
export const checkSizes = (
  backend: string,
  holds: (size: Sizes, seed: number) => Promise<void>,
): Promise<void> =>
  fc.assert(fc.asyncProperty(anySizes, fc.integer({min: 1, max: 1e6}), holds), {
    seed: 20250203,
    numRuns: backend === 'webgpu' ? 6 : 40,
  });
