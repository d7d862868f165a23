import * as tf from '@tensorflow/tfjs-core';
import {randomStream} from '../../src/random.ts';
import {randomMatrix} from '../reference/matrix.ts';

/** An operand of a fused op: its values in float64, those of a float32 tensor. */
export interface Operand {
  shape: number[];
  values: Float64Array;
}

/** Normal random values of a seed. */
export function random(shape: number[], seed: number, {mean = 0, deviation = 1} = {}): Operand {
  const size = shape.reduce((product, length) => product * length, 1);
  const {data} = randomMatrix(1, size, randomStream(seed), deviation);
  return {shape, values: data.map((value) => Math.fround(mean + value))};
}

export const tensorOf = ({shape, values}: Operand): tf.Tensor => tf.tensor(Float32Array.from(values), shape);
