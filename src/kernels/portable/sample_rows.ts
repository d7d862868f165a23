import * as tf from '@tensorflow/tfjs-core';
import type {SampleRowsAttrs, SampleRowsInputs} from '../kernel_names.ts';

/** Rounds of raising the uncapped probabilities until they sum to m; what is missing only makes the sample smaller. */
const CAPPING_ROUNDS = 4;
const TINY = 1e-30;

/**
 * Systematic sampling: with cumulative probabilities c, row i is drawn when a point offset + j, j = 0 … m − 1, falls
 * into (c_{i−1}, c_i]. The sample has a fixed size and needs no read-back, and each row's probability is exactly p_i,
 * so the estimate is unbiased. A place left empty (rounding, zero rows) takes a row not drawn, with weight 0.
 */
export function sampleRows({dy}: SampleRowsInputs, {rows, offset}: SampleRowsAttrs): tf.Tensor[] {
  const norms = tf.norm(dy, 'euclidean', 1);
  let p: tf.Tensor = tf.mul(norms, tf.div(rows, tf.add(tf.sum(norms), TINY)));
  for (let round = 0; round < CAPPING_ROUNDS; round++) {
    const free = tf.cast(tf.less(p, 1), 'float32');
    const capped = tf.sub(p.size, tf.sum(free));
    const scale = tf.div(tf.sub(rows, capped), tf.add(tf.sum(tf.mul(p, free)), TINY));
    p = tf.minimum(tf.where(tf.less(p, 1), tf.mul(p, scale), tf.onesLike(p)), 1);
  }
  const shifted = tf.sub(tf.cumsum(p), offset);
  const before = tf.concat([tf.tensor1d([-offset]), tf.slice(shifted as tf.Tensor1D, 0, p.size - 1)]);
  const drawn = tf.greater(tf.ceil(shifted), tf.ceil(before));
  // the drawn rows, in order, then undrawn ones: the largest keys are those of the first drawn rows
  const position = tf.range(0, p.size, 1, 'float32');
  const key = tf.sub(tf.mul(tf.cast(drawn, 'float32'), p.size), position);
  const {values, indices} = tf.topk(key, rows, true);
  const chosen = tf.gather(p, indices as tf.Tensor1D);
  // 0 · p, not 0: a NaN in dy must reach dx
  const weights = tf.where(tf.greater(values, 0), tf.div(1, chosen), tf.mul(chosen, 0));
  return [indices, weights];
}
