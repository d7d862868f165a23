import * as tf from '@tensorflow/tfjs-core';
import type {
  GateActivation,
  GatedUnitAttrs,
  GatedUnitGradInputs,
  GatedUnitInputs,
} from '../transformer_kernel_names.ts';

/** √(8/π) and its product by 0.044715: both activations are x · σ(u), that of gelu with u = LINEAR·x + CUBIC·x³. */
const LINEAR = Math.sqrt(8 / Math.PI);
const CUBIC = 0.044715 * LINEAR;

const ARGUMENT: Record<GateActivation, (x: tf.Tensor) => tf.Tensor> = {
  silu: (x) => x,
  gelu: (x) => tf.mul(x, tf.add(tf.mul(tf.square(x), CUBIC), LINEAR)),
};

/** u′(x) · d of a d. */
const TIMES_SLOPE: Record<GateActivation, (x: tf.Tensor, d: tf.Tensor) => tf.Tensor> = {
  silu: (_, d) => d,
  gelu: (x, d) => tf.mul(d, tf.add(tf.mul(tf.square(x), 3 * CUBIC), LINEAR)),
};

export function gatedUnit({gate, up}: GatedUnitInputs, {activation}: GatedUnitAttrs): tf.Tensor {
  return tf.mul(tf.mul(gate, tf.sigmoid(ARGUMENT[activation](gate))), up);
}

export function gatedUnitGrad(
  {dy, gate, up}: GatedUnitGradInputs,
  {activation}: GatedUnitAttrs,
): tf.Tensor[] {
  const sigmoid = tf.sigmoid(ARGUMENT[activation](gate));
  const activated = tf.mul(gate, sigmoid);
  // (x σ(u))′ = σ + xσ · (1 − σ) · u′
  const curved = TIMES_SLOPE[activation](gate, tf.sub(activated, tf.mul(activated, sigmoid)));
  const slope = tf.add(sigmoid, curved);
  return [tf.mul(tf.mul(dy, up), slope), tf.mul(dy, activated)];
}
