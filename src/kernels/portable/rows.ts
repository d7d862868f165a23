import * as tf from '@tensorflow/tfjs-core';

/**
 * [..., d] as [n, d]. What treats rows by themselves computes so: backend 'tensorflow' then needs no Reshape between it and
 * products.
 */
export const asRows = (x: tf.Tensor): tf.Tensor2D => tf.reshape(x, [-1, x.shape.at(-1)!]);

/** Σ over all axes but the last: [..., d] → [d]. */
export const sumOfRows = (x: tf.Tensor): tf.Tensor => tf.sum(asRows(x), 0);
