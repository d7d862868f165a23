import * as tf from '@tensorflow/tfjs-core';

/**
 * 0, 1, …, count − 1, float32 [count]. `tf.range` is made in JavaScript on WebGPU, and what is computed from it there too
 * (tfjs does so while no operand has been on the GPU): a mask [512, 512] took 20 ms.
 */
export function positions(count: number): tf.Tensor1D {
  // one more, so that the step is exactly 1 for a single number too
  return tf.slice(tf.linspace(0, count, count + 1), 0, count);
}
