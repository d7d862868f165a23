import * as tf from '@tensorflow/tfjs-core';
import {replaceKernel} from '../engine.ts';

/** 1 where x > 0, NaN where x is, and alpha elsewhere, as `tf.step`. */
export const step = (x: tf.Tensor, alpha: number): tf.Tensor =>
  tf.tidy(() => {
    const above = tf.where(tf.greater(x, 0), tf.onesLike(x), tf.fill(x.shape, alpha, x.dtype as 'float32'));
    return tf.where(tf.isNaN(x), x, above);
  });

/** The Step kernel of backend tensorflow, of the gradients of relu, relu6 and abs, makes ones in JavaScript. */
export function fixStepKernel(): () => void {
  return replaceKernel(tf.Step, 'tensorflow', () => ({inputs, attrs}) => {
    return step(inputs.x as tf.Tensor, attrs!.alpha as number);
  });
}
