import * as tf from '@tensorflow/tfjs-core';
import {product} from '../../ops/product.ts';
import type {LowRankMatMulAttrs, LowRankMatMulInputs} from '../kernel_names.ts';

export function lowRankMatMul(
  {a, b}: LowRankMatMulInputs,
  {transposeA, transposeB, scale}: LowRankMatMulAttrs,
): tf.Tensor {
  const result = product(a, b, transposeA, transposeB);
  return scale === 1 ? result : tf.mul(result, scale);
}
