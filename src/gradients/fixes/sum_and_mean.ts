import * as tf from '@tensorflow/tfjs-core';
import {replaceGradient, restoreAll} from '../engine.ts';

/**
 * dy at every place of x that was summed into it. Stock tfjs multiplies by `tf.ones`, an array made in JavaScript;
 * `tf.fill` is a kernel. (`tf.tile` would do without the product, but takes 20 times as long on wasm, and on WebGPU
 * tiles small tensors in JavaScript.)
 */
function broadcast(dy: tf.Tensor, shape: number[], axis: number | number[]): tf.Tensor {
  const axes = tf.util.parseAxisParam(axis, shape);
  const kept = tf.reshape(
    dy,
    shape.map((size, i) => (axes.includes(i) ? 1 : size)),
  );
  return tf.mul(kept, tf.fill(shape, 1));
}

/** Gradients of Sum and Mean without an array made in JavaScript. */
export function fixSumAndMean(): () => void {
  return restoreAll([
    replaceGradient(tf.Sum, () => ({
      gradFunc: (dy, [x], attrs) => ({
        x: () => broadcast(dy as tf.Tensor, x!.shape, attrs.axis as number[]),
      }),
    })),
    replaceGradient(tf.Mean, () => ({
      gradFunc: (dy, [x], attrs) => ({
        x: () => {
          const count = x!.size / (dy as tf.Tensor).size;
          return broadcast(tf.div(dy as tf.Tensor, count), x!.shape, attrs.axis as number[]);
        },
      }),
    })),
  ]);
}
