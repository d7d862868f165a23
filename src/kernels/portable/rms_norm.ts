import * as tf from '@tensorflow/tfjs-core';
import type {
  AddRMSNormInputs,
  NormAttrs,
  NormWeightGradInputs,
  RMSNormGradInputs,
  RMSNormInputs,
} from '../transformer_kernel_names.ts';
import {sumOfRows} from './sum_of_rows.ts';

const inverseRms = (x: tf.Tensor, epsilon: number) =>
  tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));

export function rmsNorm({x, weight}: RMSNormInputs, {epsilon}: NormAttrs): tf.Tensor {
  return tf.mul(tf.mul(x, inverseRms(x, epsilon)), weight);
}

export function addRMSNorm({x, residual, weight}: AddRMSNormInputs, attrs: NormAttrs): tf.Tensor[] {
  const sum = tf.add(x, residual);
  return [rmsNorm({x: sum, weight}, attrs), sum];
}

export function rmsNormGrad({dy, x, weight, dSum}: RMSNormGradInputs, {epsilon}: NormAttrs): tf.Tensor {
  const inverse = inverseRms(x, epsilon);
  const normed = tf.mul(x, inverse);
  const g = tf.mul(dy, weight);
  const along = tf.mul(normed, tf.mean(tf.mul(g, normed), -1, true));
  const dx = tf.mul(tf.sub(g, along), inverse);
  return dSum ? tf.add(dx, dSum) : dx;
}

export function rmsNormWeightGrad({dy, x}: NormWeightGradInputs, {epsilon}: NormAttrs): tf.Tensor {
  return sumOfRows(tf.mul(dy, tf.mul(x, inverseRms(x, epsilon))));
}
