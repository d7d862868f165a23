import * as tf from '@tensorflow/tfjs-core';

// Backend wasm multiplies a pair of matrices at 36 GFLOP/s, but a batch of them, or with a transpose flag, at
// 2 to 4.

const slow = () => tf.getBackend() === 'wasm';
const transposed = (x: tf.Tensor) => tf.transpose(x, x.rank === 3 ? [0, 2, 1] : [1, 0]);

/** a·bᵀ of matrices or equal batches of them. */
export const timesTransposed = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  slow() ? tf.matMul(a, transposed(b)) : tf.matMul(a, b, false, true);

/** aᵀ·b of matrices or equal batches of them. */
export const transposedTimes = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  slow() ? tf.matMul(transposed(a), b) : tf.matMul(a, b, true, false);

/** The members of a batch; by halves, since every slice on wasm first copies the whole of what it slices. */
function members(x: tf.Tensor): tf.Tensor[] {
  const size = x.shape[0]!;
  if (size === 1) return [x];
  return tf.split(x, [size >> 1, size - (size >> 1)]).flatMap(members);
}

/** f of equal batches [n, .., ..], whose members it treats alike: on wasm it gets them one by one. */
export function overBatch<T extends tf.Tensor[]>(f: (batches: T) => tf.Tensor[], batches: T): tf.Tensor[] {
  if (!slow()) return f(batches);
  const inputs = batches.map(members);
  const outputs = inputs[0]!.map((_, i) => tf.tidy(() => f(inputs.map((parts) => parts[i]!) as T)));
  return outputs[0]!.map((_, i) => tf.concat(outputs.map((parts) => parts[i]!)));
}
