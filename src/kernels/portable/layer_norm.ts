import * as tf from '@tensorflow/tfjs-core';
import type {
  LayerNormGradInputs,
  LayerNormInputs,
  NormAttrs,
  NormWeightGradInputs,
} from '../transformer_kernel_names.ts';
import {asRows, sumOfRows} from './rows.ts';

/** x̂ and 1 / √(var(x) + ε), of rows. */
function normalise(x: tf.Tensor, epsilon: number) {
  const rows = asRows(x);
  const centred = tf.sub(rows, tf.mean(rows, -1, true));
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
  return {normed: tf.mul(centred, inverse), inverse};
}

export function layerNorm({x, gamma, beta}: LayerNormInputs, {epsilon}: NormAttrs): tf.Tensor {
  const y = tf.mul(normalise(x, epsilon).normed, gamma);
  return tf.reshape(beta ? tf.add(y, beta) : y, x.shape);
}

export function layerNormGrad({dy, x, gamma}: LayerNormGradInputs, {epsilon}: NormAttrs): tf.Tensor {
  const {normed, inverse} = normalise(x, epsilon);
  const g = tf.mul(asRows(dy), gamma);
  const along = tf.mul(normed, tf.mean(tf.mul(g, normed), -1, true));
  const dx = tf.mul(tf.sub(tf.sub(g, tf.mean(g, -1, true)), along), inverse);
  return tf.reshape(dx, x.shape);
}

export function layerNormWeightGrad({dy, x}: NormWeightGradInputs, {epsilon}: NormAttrs): tf.Tensor {
  return sumOfRows(tf.mul(asRows(dy), normalise(x, epsilon).normed));
}
