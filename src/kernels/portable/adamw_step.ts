import * as tf from '@tensorflow/tfjs-core';
import type {AdamWStepAttrs, AdamWStepInputs} from '../training_kernel_names.ts';

export function adamWStep(
  {params, grads, scale, ...last}: AdamWStepInputs,
  attrs: AdamWStepAttrs,
): tf.Tensor[] {
  const {learningRate, beta1, beta2, epsilon, step} = attrs;
  const g = scale ? tf.mul(grads, scale) : grads;
  const m = tf.add(last.m, tf.mul(tf.sub(g, last.m), 1 - beta1));
  const v = tf.add(tf.mul(last.v, beta2), tf.mul(tf.square(g), 1 - beta2));
  const root = tf.mul(tf.sqrt(v), 1 / Math.sqrt(1 - beta2 ** step));
  const update = tf.mul(tf.div(m, tf.add(root, epsilon)), learningRate / (1 - beta1 ** step));
  return [tf.sub(decay(params, attrs), update), m, v];
}

function decay(params: tf.Tensor, {learningRate, weightDecay, decayed}: AdamWStepAttrs): tf.Tensor {
  const factor = 1 - learningRate * weightDecay;
  if (decayed === 0 || factor === 1) return params;
  if (decayed === params.size) return tf.mul(params, factor);
  const [first, rest] = tf.split(params, [decayed, params.size - decayed]) as [tf.Tensor, tf.Tensor];
  return tf.concat([tf.mul(first, factor), rest]);
}
