import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {deviceRandomUniform} from './random_uniform.ts';

/**
 * `tf.dropout` with a mask made on the device: x · mask / (1 − rate), mask 0 with probability `rate`, else 1.
 * @param x Any shape, float32.
 * @param rate 0 ≤ rate < 1.
 * @param seed Of the mask, as in `deviceRandomUniform`.
 * @param maskShape A shape that broadcasts to x's: what shares a number of the mask is dropped together. Default x's.
 * @throws Error for a wrong dtype or rate.
 */
export function deviceDropout<T extends tf.Tensor>(
  x: T,
  rate: number,
  seed: number,
  maskShape: number[] = x.shape,
): T {
  if (x.dtype !== 'float32') {
    throw new Error(`deviceDropout: x must be float32, but is ${x.dtype} of shape [${x.shape}]`);
  }
  if (!(rate >= 0 && rate < 1)) {
    throw new Error(`deviceDropout: rate must be a number with 0 ≤ rate < 1, but is ${show(rate)}`);
  }
  return tf.tidy(() => {
    if (rate === 0) return tf.clone(x);
    const keep = 1 - rate;
    const mask = tf.cast(tf.less(deviceRandomUniform(maskShape, seed), keep), 'float32');
    return tf.mul(x, tf.mul(mask, 1 / keep));
  });
}
