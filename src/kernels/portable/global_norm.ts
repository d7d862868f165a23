import * as tf from '@tensorflow/tfjs-core';
import type {GlobalNormAttrs, GlobalNormInputs} from '../training_kernel_names.ts';

/** WebGPU sums each row in a workgroup of its own, so that a whole tensor as one row keeps it waiting (33 M: 8 ms). */
const ROW = 4096;

export function globalNorm({flat}: GlobalNormInputs, {maxNorm}: GlobalNormAttrs): tf.Tensor[] {
  const missing = (ROW - (flat.size % ROW)) % ROW;
  const whole = missing === 0 ? flat : tf.pad(flat, [[0, missing]]);
  const norm = tf.sqrt(tf.sum(tf.sum(tf.square(tf.reshape(whole, [-1, ROW])), 1)));
  // not min(1, maxNorm / norm), which is 1 for NaN on some backends
  return [norm, tf.where(tf.lessEqual(norm, maxNorm), tf.scalar(1), tf.div(maxNorm, norm))];
}
