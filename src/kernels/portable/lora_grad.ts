import * as tf from '@tensorflow/tfjs-core';
import {type LoRAGradAttrs, type LoRAGradInputs, LowRankMatMul} from '../kernel_names.ts';

/** Of the backend's own products. */
function multiply(
  a: tf.Tensor,
  b: tf.Tensor,
  {transposeA = false, transposeB = false, scale = 1},
): tf.Tensor {
  return tf.engine().runKernel(LowRankMatMul, {a, b}, {transposeA, transposeB, scale}) as tf.Tensor;
}

export function loraGrad({x, dy, loraX, loraB}: LoRAGradInputs, {scale}: LoRAGradAttrs): tf.Tensor[] {
  const loraDy = multiply(dy, loraB, {transposeB: true, scale});
  return [loraDy, multiply(x, loraDy, {transposeA: true}), multiply(loraX, dy, {transposeA: true})];
}
