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
  const heads = half ? tf.reshape(x, [-1, 2, pairs]) : tf.transpose(tf.reshape(x, [-1, pairs, 2]), [0, 2, 1]);
  const [a, b] = tf.split(heads, 2, 1).map((part) => tf.reshape(part, [batch, t, -1, pairs])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  const c = tf.reshape(cos, [t, 1, pairs]);
  const s = tf.reshape(inverse ? tf.neg(sin) : sin, [t, 1, pairs]);
  const turned = [tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))];
  const together = tf.concat(
    turned.map((part) => tf.reshape(part, [-1, 1, pairs])),
    1,
  );
  return tf.reshape(half ? together : tf.transpose(together, [0, 2, 1]), x.shape);
}
