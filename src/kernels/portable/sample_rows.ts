import * as tf from '@tensorflow/tfjs-core';
import type {SampleRowsAttrs, SampleRowsInputs} from '../kernel_names.ts';
import {positions} from './positions.ts';

/** Rounds of raising the uncapped probabilities until they sum to m; what is missing only makes the sample smaller. */
const CAPPING_ROUNDS = 4;
const TINY = 1e-30;

/** min(p, 1) that lets NaN through on every backend: a NaN in dy must reach dx. */
const capped = (p: tf.Tensor): tf.Tensor => tf.where(tf.greaterEqual(p, 1), tf.onesLike(p), p);

/**
 * Systematic sampling: with cumulative probabilities c, row i is drawn when a point offset + j, j = 0 … m − 1, falls
 * into [c_{i−1}, c_i). The sample has a fixed size and needs no read-back, and each row's probability is exactly p_i,
 * so the estimate is unbiased. A place left empty (rounding, zero rows) takes a row not drawn, with weight 0.
 */
export function sampleRows({dy}: SampleRowsInputs, {rows, offset}: SampleRowsAttrs): tf.Tensor[] {
  const norms = tf.norm(dy, 'euclidean', 1);
  let p = capped(tf.mul(norms, tf.div(rows, tf.add(tf.sum(norms), TINY))));
  for (let round = 0; round < CAPPING_ROUNDS; round++) {
    const below = tf.less(p, 1);
    const free = tf.cast(below, 'float32');
    const left = tf.add(tf.sum(free), rows - p.size);
    const scale = tf.div(left, tf.add(tf.sum(tf.mul(p, free)), TINY));
    p = capped(tf.where(below, tf.mul(p, scale), p));
  }
  const shifted = tf.sub(tf.cumsum(p), offset);
  const before = tf.concat([tf.tensor1d([-offset]), tf.slice(shifted as tf.Tensor1D, 0, p.size - 1)]);
  // a cumulative sum in parallel may rise by rounding where p is 0: such a row must not be drawn, 1/p is infinite
  const drawn = tf.logicalAnd(tf.greater(tf.ceil(shifted), tf.ceil(before)), tf.greater(p, 0));
  // the drawn rows, in order, then undrawn ones: the largest keys are those of the first drawn rows
  const key = tf.sub(tf.mul(tf.cast(drawn, 'float32'), p.size), positions(p.size));
  const {values, indices} = tf.topk(key, rows, true);
  const chosen = tf.gather(p, indices as tf.Tensor1D);
  // 0 · p, not 0, again for NaN
  const weights = tf.where(tf.greater(values, 0), tf.div(1, chosen), tf.mul(chosen, 0));
  return [indices, weights];
}
