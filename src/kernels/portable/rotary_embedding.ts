import * as tf from '@tensorflow/tfjs-core';
import type {RotaryEmbeddingAttrs, RotaryEmbeddingInputs} from '../transformer_kernel_names.ts';

export function rotaryEmbedding(
  {x, cos, sin}: RotaryEmbeddingInputs,
  {pairing, inverse}: RotaryEmbeddingAttrs,
): tf.Tensor {
  const [batch, t] = x.shape as [number, number];
  const pairs = cos.shape[1]!;
  const axis = pairing === 'half' ? 1 : 2;
  const heads = tf.reshape(x, axis === 1 ? [-1, 2, pairs] : [-1, pairs, 2]);
  const [a, b] = tf.split(heads, 2, axis).map((part) => tf.reshape(part, [batch, t, -1, pairs])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  const c = tf.reshape(cos, [t, 1, pairs]);
  const s = tf.reshape(inverse ? tf.neg(sin) : sin, [t, 1, pairs]);
  const turned = [tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))].map((part) =>
    tf.reshape(part, axis === 1 ? [-1, 1, pairs] : [-1, pairs, 1]),
  );
  return tf.reshape(tf.concat(turned, axis), x.shape);
}
