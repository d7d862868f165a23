import * as tf from '@tensorflow/tfjs-core';

/**
 * a·bᵀ of matrices; on wasm by an explicit transpose, where matMul's own flag costs a factor of ten. (Batches of
 * matrices gain nothing from it there: they run at 2 GFLOP/s with and without.)
 */
export const timesTransposed = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  tf.getBackend() === 'wasm' ? tf.matMul(a, tf.transpose(b)) : tf.matMul(a, b, false, true);

/** aᵀ·b of matrices; see `timesTransposed`. */
export const transposedTimes = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  tf.getBackend() === 'wasm' ? tf.matMul(tf.transpose(a), b) : tf.matMul(a, b, true, false);
