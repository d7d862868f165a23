import * as tf from '@tensorflow/tfjs-core';
import type {AttachGradientInputs} from '../training_kernel_names.ts';

export function attachGradient({value}: AttachGradientInputs): tf.Tensor {
  return tf.reshape(value, []);
}
