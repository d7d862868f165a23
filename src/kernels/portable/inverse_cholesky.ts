import * as tf from '@tensorflow/tfjs-core';
import type {InverseCholeskyInputs} from '../kernel_names.ts';

/**
 * The part of a column's square that is taken to be left at least beside the columns before it: in float32 rounding alone
 * makes it wrong by some 1e-7. What is left of such a column keeps its direction and is shorter than 1; it is taken from no
 * other one, as rounding divided by next to nothing would grow from column to column.
 */
export const LEAST_LEFT = 1e-6;

/** In float64 by the host: as tensors its r columns would be thousands of operations on a few numbers each. */
export function inverseCholesky({gram}: InverseCholeskyInputs): tf.Tensor2D {
  const [size] = gram.shape as [number, number];
  const given = gram.dataSync<'float32'>();
  const l = new Float64Array(size * size);
  const inverse = new Float64Array(size * size);
  /** 1 / L_jj, or 0 for a column that is not taken from others. */
  const taken = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    let left = given[i * size + i]!;
    for (let j = 0; j < i; j++) {
      let dot = given[i * size + j]!;
      for (let k = 0; k < j; k++) dot -= l[i * size + k]! * l[j * size + k]!;
      l[i * size + j] = dot * taken[j]!;
      left -= l[i * size + j]! ** 2;
    }
    const least = LEAST_LEFT * given[i * size + i]!;
    const scale = least === 0 ? 0 : 1 / Math.sqrt(Math.max(left, least));
    inverse[i * size + i] = scale;
    if (left > least) taken[i] = scale;
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let k = j; k < i; k++) sum -= l[i * size + k]! * inverse[k * size + j]!;
      inverse[i * size + j] = sum * scale;
    }
  }
  return tf.tensor2d(Float32Array.from(inverse), [size, size]);
}
