import * as tf from '@tensorflow/tfjs-core';
import {replaceGradient} from '../engine.ts';

/**
 * Gradient of Relu from its output, which is above 0 where its input is, and which the next layer saves anyway; stock
 * tfjs keeps the input beside it.
 */
export function fixRelu(): () => void {
  return replaceGradient(tf.Relu, () => ({
    inputsToSave: [],
    outputsToSave: [true],
    gradFunc: (dy, [y]) => ({x: () => tf.mul(dy as tf.Tensor, tf.cast(tf.step(y!), 'float32'))}),
  }));
}
