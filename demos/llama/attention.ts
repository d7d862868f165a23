import * as tf from '@tensorflow/tfjs-core';
import {product} from '../../src/ops/product.ts';
import {overBatch} from './over_batch.ts';
import {type RotaryTables, rotate} from './rotary.ts';

type Three = [tf.Tensor, tf.Tensor, tf.Tensor];
type Five = [...Three, tf.Tensor, tf.Tensor];

export interface AttentionShape {
  numHeads: number;
  numKvHeads: number;
  headDim: number;
}

/**
 * softmax(QKᵀ / √dim + mask) V of a batch of heads. The gradient is written out: all three parts are needed
 * in any case, and it makes the probabilities again instead of keeping t² numbers a head until the backward
 * pass.
 *
 * @param q [n, g·t, dim]: the g heads that share a k and v, one below the other
 * @param k [n, t, dim]
 * @param v [n, t, dim]
 * @param mask [t, t], added to the scores
 * @returns [n, g·t, dim]
 */
function groupedAttention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  const [, rows, dim] = q.shape as [number, number, number];
  const t = mask.shape[0]!;
  const scale = 1 / Math.sqrt(dim);
  const probabilities = (q: tf.Tensor, k: tf.Tensor, mask: tf.Tensor) => {
    const scores = tf.reshape(product<tf.Tensor>(tf.mul(q, scale), k, false, true), [-1, t, t]);
    return tf.reshape(tf.softmax(tf.add(scores, mask)), [-1, rows, t]);
  };
  const core = tf.customGrad((...args) => {
    const [q, k, v, save] = args as [...Three, tf.GradSaveFunc];
    const forward = ([q, k, v]: Three) => [tf.matMul(probabilities(q, k, mask), v)];
    const value = overBatch(forward, [q, k, v])[0]!;
    save([q, k, v, value, mask]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [q, k, v, y, mask] = saved as Five;
      const backward = ([q, k, v, y, dy]: Five) => {
        const p = probabilities(q, k, mask);
        // Σ_j dP_ij P_ij of the softmax's gradient is dy·y, a shorter sum.
        const dots = tf.sum(tf.mul(dy, y), -1, true);
        const dScores = tf.mul(p, tf.sub(product<tf.Tensor>(dy, v, false, true), dots));
        const dq = tf.mul(tf.matMul(dScores, k), scale);
        const dk = tf.mul(product<tf.Tensor>(dScores, q, true), scale);
        return [dq, dk, product<tf.Tensor>(p, dy, true)];
      };
      return overBatch(backward, [q, k, v, y, dy]);
    };
    return {value, gradFunc};
  });
  return core(q, k, v);
}

/**
 * Causal self-attention with rotary positions and grouped heads; k and v are not repeated for the heads that
 * share them.
 *
 * @param q [batch, t, numHeads·headDim]
 * @param k [batch, t, numKvHeads·headDim]
 * @param v [batch, t, numKvHeads·headDim]
 * @param rotary cosine and sine, [t, headDim] both
 * @param mask [t, t], added to the scores: 0 where a row may look, very negative where not
 * @returns [batch, t, numHeads·headDim]
 */
export function attention(
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  rotary: RotaryTables,
  mask: tf.Tensor,
  {numHeads, numKvHeads, headDim}: AttentionShape,
): tf.Tensor {
  const [batch, t] = q.shape as [number, number];
  const heads = (x: tf.Tensor, count: number) =>
    tf.transpose(tf.reshape(x, [batch, t, count, headDim]), [0, 2, 1, 3]);
  const shared = [batch * numKvHeads, -1, headDim];
  const y = groupedAttention(
    tf.reshape(rotate(heads(q, numHeads), rotary), shared),
    tf.reshape(rotate(heads(k, numKvHeads), rotary), shared),
    tf.reshape(heads(v, numKvHeads), shared),
    mask,
  );
  const apart = tf.transpose(tf.reshape(y, [batch, numHeads, t, headDim]), [0, 2, 1, 3]);
  return tf.reshape(apart, [batch, t, numHeads * headDim]);
}
