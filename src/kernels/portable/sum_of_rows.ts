import * as tf from '@tensorflow/tfjs-core';

/** Σ over all axes but the last: [..., d] → [d]. */
export const sumOfRows = (x: tf.Tensor): tf.Tensor => tf.sum(tf.reshape(x, [-1, x.shape.at(-1)!]), 0);
