import * as tf from '@tensorflow/tfjs-core';
import type {RotaryEmbeddingAttrs, RotaryEmbeddingInputs} from '../transformer_kernel_names.ts';

export function rotaryEmbedding(
  {x, cos, sin}: RotaryEmbeddingInputs,
  {pairing, inverse}: RotaryEmbeddingAttrs,
): tf.Tensor {
  const [batch, t] = x.shape as [number, number];
  const pairs = cos.shape[1]!;
  const half = pairing === 'half';
  // the first numbers of a head's pairs, then the second ones. Interleaved ones are transposed, since slices one number
  // wide are slow on wasm: 44 ms and 3.6 in all for [4, 256, 512]
  const parted = half ? x : tf.transpose(tf.reshape(x, [-1, pairs, 2]), [0, 2, 1]);
  const [a, b] = tf.split(tf.reshape(parted, [batch, t, -1, 2 * pairs]), 2, 3) as [tf.Tensor, tf.Tensor];
  const c = tf.reshape(cos, [t, 1, pairs]);
  const s = tf.reshape(inverse ? tf.neg(sin) : sin, [t, 1, pairs]);
  const turned = tf.concat([tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))], 3);
  return tf.reshape(half ? turned : tf.transpose(tf.reshape(turned, [-1, 2, pairs]), [0, 2, 1]), x.shape);
}
