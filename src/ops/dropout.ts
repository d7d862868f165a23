import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {DropoutMask} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';
import {checkDraw} from './random_uniform.ts';

/**
 * `tf.dropout` with a mask made on the device: x · mask / (1 − rate), mask 0 with probability `rate`, else 1.
 * @param x Any shape, float32.
 * @param rate 0 ≤ rate < 1.
 * @param seed Of the mask, as in `deviceRandomUniform`.
 * @param maskShape A shape that broadcasts to x's: what shares a number of the mask is dropped together. Default x's.
 * @throws Error for a wrong dtype, rate, shape or seed.
 */
export function deviceDropout<T extends tf.Tensor>(
  x: T,
  rate: number,
  seed: number,
  maskShape: number[] = x.shape,
): T {
  const op = 'deviceDropout';
  if (x.dtype !== 'float32') {
    throw new Error(`${op}: x must be float32, but is ${x.dtype} of shape [${x.shape}]`);
  }
  if (!(rate >= 0 && rate < 1)) {
    throw new Error(`${op}: rate must be a number with 0 ≤ rate < 1, but is ${show(rate)}`);
  }
  checkDraw(op, maskShape, seed, 'maskShape');
  return tf.tidy(() => {
    if (rate === 0) return tf.clone(x);
    return tf.mul(x, runKernel<tf.Tensor>(DropoutMask, {}, {shape: maskShape, seed, rate}));
  });
}
