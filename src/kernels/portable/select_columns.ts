import * as tf from '@tensorflow/tfjs-core';
import type {
  ColumnScoresAttrs,
  ColumnScoresInputs,
  SelectColumnsAttrs,
  SelectColumnsInputs,
} from '../kernel_names.ts';

export function columnScores({dy, norms}: ColumnScoresInputs, {score}: ColumnScoresAttrs): tf.Tensor {
  if (score === 'weight') return tf.clone(norms);
  const gradient = tf.norm(dy, 'euclidean', 0);
  return score === 'gradient' ? gradient : tf.mul(gradient, norms);
}

export function selectColumns({scores}: SelectColumnsInputs, {k}: SelectColumnsAttrs): tf.Tensor {
  const best = tf.topk(scores, k, false).indices;
  // ascending order is what a gather reads best; tfjs sorts through topk only, and as floats on some backends
  const ascending = tf.topk(tf.neg(tf.cast(best, 'float32')), k, true).values;
  return tf.cast(tf.neg(ascending), 'int32');
}
