import * as tf from '@tensorflow/tfjs-core';
import {replaceGradient} from '../engine.ts';

/** Gradient of Tile: the sum over the copies, one axis at a time; stock tfjs slices every copy, up to rank 4. */
export function fixTile(): () => void {
  return replaceGradient(tf.Tile, () => ({
    gradFunc: (dy, [x], attrs) => ({
      x: () => {
        const shape = x!.shape;
        let sum = dy as tf.Tensor;
        for (const [axis, copies] of (attrs.reps as number[]).entries()) {
          if (copies === 1) continue;
          // the axes before are x's already
          const outer = tf.util.sizeFromShape(shape.slice(0, axis));
          sum = tf.sum(tf.reshape(sum, [outer, copies, -1]), 1);
        }
        return tf.reshape(sum, shape);
      },
    }),
  }));
}
