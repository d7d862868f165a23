import * as tf from '@tensorflow/tfjs-core';
import type {FusedActivation, LoRAMatMulAttrs, LoRAMatMulInputs} from '../kernel_names.ts';
import {namedOperands} from '../operands.ts';
import {floatsOf} from './half.ts';

const ACTIVATIONS: Record<FusedActivation, (y: tf.Tensor) => tf.Tensor> = {
  linear: (y) => y,
  relu: tf.relu,
  elu: tf.elu,
};

export function loraMatMul(inputs: LoRAMatMulInputs, attrs: LoRAMatMulAttrs): tf.Tensor[] {
  const {x, kernel, bias, loraA, loraB} = namedOperands(inputs, attrs);
  const [a, b] = [x, floatsOf(kernel, attrs)] as [tf.Tensor2D, tf.Tensor2D];
  const base = (activation: FusedActivation) => tf.fused.matMul({a, b, ...(bias ? {bias} : {}), activation});
  if (loraA === undefined || loraB === undefined) return [base(attrs.activation)];
  const loraX = tf.mul(tf.matMul(x as tf.Tensor2D, loraA as tf.Tensor2D), attrs.scale);
  const y = tf.add(base('linear'), tf.matMul(loraX as tf.Tensor2D, loraB as tf.Tensor2D));
  return [ACTIVATIONS[attrs.activation](y), loraX];
}
