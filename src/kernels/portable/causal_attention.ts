import * as tf from '@tensorflow/tfjs-core';
import {product} from '../../ops/product.ts';
import type {
  CausalAttentionAttrs,
  CausalAttentionGradInputs,
  CausalAttentionInputs,
} from '../transformer_kernel_names.ts';
import {overBatch} from './over_batch.ts';
import {positions} from './positions.ts';

/** Added to the scores of what a token does not see: its exponential is 0 beside that of any score. */
const UNSEEN = -1e9;

/**
 * At most UNSEEN for what comes after a token or is of another segment, 0 elsewhere: [1 or b, t, t]. By differences of
 * floats, since comparisons that broadcast take 50 ns an element on wasm.
 */
function maskOf(t: number, segments: tf.Tensor | undefined): tf.Tensor {
  return tf.tidy(() => {
    const position = positions(t);
    let hidden = tf.relu(tf.sub(position, tf.reshape(position, [1, t, 1])));
    if (segments) {
      const ids = tf.cast(segments, 'float32');
      const apart = tf.squaredDifference(tf.reshape(ids, [-1, t, 1]), tf.reshape(ids, [-1, 1, t]));
      hidden = tf.add(hidden, apart);
    }
    return tf.mul(hidden, UNSEEN);
  });
}

/** q kᵀ + mask, [n, g·t, t], for q [n, g·t, c], k [n, t, c] and a mask [m, t, t] each of whose members serves n/m. */
function maskedScores(q: tf.Tensor, k: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  return tf.tidy(() => {
    const scores = product<tf.Tensor>(q, k, false, true);
    const [m, t] = mask.shape as [number, number];
    const masked = tf.add(tf.reshape(scores, [m, -1, t, t]), tf.reshape(mask, [m, 1, t, t]));
    return tf.reshape(masked, scores.shape);
  });
}

/**
 * The heads apart: [b, t, heads·c] → [b·G, g·t, c], the g = heads / G heads that share a k and v one below the other, so
 * that k and v need no copies.
 */
function split(x: tf.Tensor, heads: number, kvHeads: number): tf.Tensor {
  const [b, t, width] = x.shape as [number, number, number];
  const apart = tf.transpose(tf.reshape(x, [b, t, heads, width / heads]), [0, 2, 1, 3]);
  return tf.reshape(apart, [b * kvHeads, -1, width / heads]);
}

/** The inverse of `split`. */
function join(x: tf.Tensor, [b, t, width]: [number, number, number], heads: number): tf.Tensor {
  const apart = tf.reshape(x, [b, heads, t, width / heads]);
  return tf.reshape(tf.transpose(apart, [0, 2, 1, 3]), [b, t, width]);
}

export function causalAttention(
  [q, k, v, segments]: CausalAttentionInputs,
  {numHeads, numKvHeads, scale}: CausalAttentionAttrs,
): tf.Tensor[] {
  const shape = q!.shape as [number, number, number];
  const [b, t] = shape;
  type Batches = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const forward = ([q, k, v, mask]: Batches) => {
    const scores = maskedScores(q, k, mask);
    const p = tf.softmax(scores);
    // the largest probability is exp(top − log Σ exp)
    return [tf.matMul(p, v), tf.sub(tf.max(scores, -1, true), tf.log(tf.max(p, -1, true)))];
  };
  const [y, logSumExp] = overBatch(forward, [
    tf.mul(split(q!, numHeads, numKvHeads), scale),
    split(k!, numKvHeads, numKvHeads),
    split(v!, numKvHeads, numKvHeads),
    maskOf(t, segments),
  ]) as [tf.Tensor, tf.Tensor];
  return [join(y, shape, numHeads), tf.reshape(logSumExp, [b, numHeads, t])];
}

export function causalAttentionGrad(
  {dy, q, k, v, y, segments}: CausalAttentionGradInputs,
  {numHeads, numKvHeads, scale}: CausalAttentionAttrs,
): tf.Tensor[] {
  const shape = q.shape as [number, number, number];
  const kvShape = k.shape as [number, number, number];
  const [b, t, width] = shape;
  type Batches = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const backward = ([q, k, v, dy, dots, mask]: Batches) => {
    // not exp(scores − logSumExp): on wasm exp takes 12 times as long as softmax (1.2 and 0.1 ms for 131072 numbers)
    const p = tf.tidy(() => tf.softmax(maskedScores(q, k, mask)));
    const dv = product<tf.Tensor>(p, dy, true);
    const dScores = tf.tidy(() => tf.mul(p, tf.sub(product<tf.Tensor>(dy, v, false, true), dots)));
    return [tf.mul(tf.matMul(dScores, k), scale), product<tf.Tensor>(dScores, q, true), dv];
  };
  // Σ_j P_ij dP_ij of the softmax's gradient is dy·y of the row: a shorter sum
  const dots = tf.sum(tf.reshape(tf.mul(dy, y), [b, t, numHeads, width / numHeads]), -1);
  const [dq, dk, dv] = overBatch(backward, [
    tf.mul(split(q, numHeads, numKvHeads), scale),
    split(k, numKvHeads, numKvHeads),
    split(v, numKvHeads, numKvHeads),
    split(dy, numHeads, numKvHeads),
    split(dots, numHeads, numKvHeads),
    maskOf(t, segments),
  ]) as [tf.Tensor, tf.Tensor, tf.Tensor];
  return [join(dq, shape, numHeads), join(dk, kvShape, numKvHeads), join(dv, kvShape, numKvHeads)];
}
