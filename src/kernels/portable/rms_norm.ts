import * as tf from '@tensorflow/tfjs-core';
import type {
  AddRMSNormInputs,
  NormAttrs,
  NormWeightGradInputs,
  RMSNormGradInputs,
  RMSNormInputs,
} from '../transformer_kernel_names.ts';
import {asRows, sumOfRows} from './rows.ts';

const inverseRms = (x: tf.Tensor, epsilon: number) =>
  tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));

export function rmsNorm({x, weight}: RMSNormInputs, {epsilon}: NormAttrs): tf.Tensor {
  const rows = asRows(x);
  return tf.reshape(tf.mul(tf.mul(rows, inverseRms(rows, epsilon)), weight), x.shape);
}

export function addRMSNorm({x, residual, weight}: AddRMSNormInputs, attrs: NormAttrs): tf.Tensor[] {
  const sum = tf.add(x, residual);
  return [rmsNorm({x: sum, weight}, attrs), sum];
}

export function rmsNormGrad({dy, x, weight, dSum}: RMSNormGradInputs, {epsilon}: NormAttrs): tf.Tensor {
  const rows = asRows(x);
  const inverse = inverseRms(rows, epsilon);
  const normed = tf.mul(rows, inverse);
  const g = tf.mul(asRows(dy), weight);
  const along = tf.mul(normed, tf.mean(tf.mul(g, normed), -1, true));
  const dx = tf.reshape(tf.mul(tf.sub(g, along), inverse), x.shape);
  return dSum ? tf.add(dx, dSum) : dx;
}

export function rmsNormWeightGrad({dy, x}: NormWeightGradInputs, {epsilon}: NormAttrs): tf.Tensor {
  const rows = asRows(x);
  return sumOfRows(tf.mul(asRows(dy), tf.mul(rows, inverseRms(rows, epsilon))));
}
