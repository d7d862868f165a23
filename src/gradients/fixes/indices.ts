import * as tf from '@tensorflow/tfjs-core';
import {replaceGradient, restoreAll} from '../engine.ts';

/** Gradients of OneHot (zeros) and UnsortedSegmentSum (a gather) without an array made in JavaScript. */
export function fixIndices(): () => void {
  return restoreAll([
    replaceGradient(tf.OneHot, () => ({
      gradFunc: (_, [indices]) => ({indices: () => tf.fill(indices!.shape, 0)}),
    })),
    replaceGradient(tf.UnsortedSegmentSum, () => ({
      gradFunc: (dy, [segmentIds]) => ({
        x: () => {
          const ids = segmentIds as tf.Tensor1D;
          const rows = tf.gather(dy as tf.Tensor, tf.maximum(ids, tf.scalar(0, 'int32')));
          // negative ids were left out of the sum
          const summed = tf.reshape(tf.greaterEqual(ids, tf.scalar(0, 'int32')), [
            -1,
            ...rows.shape.slice(1).map(() => 1),
          ]);
          return tf.where(summed, rows, tf.zerosLike(rows));
        },
      }),
    })),
  ]);
}
