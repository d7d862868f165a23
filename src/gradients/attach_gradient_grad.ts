import * as tf from '@tensorflow/tfjs-core';
import {AttachGradient} from '../kernels/training_kernel_names.ts';

export const attachGradientGradConfig: tf.GradConfig = {
  kernelName: AttachGradient,
  inputsToSave: ['gradient'],
  gradFunc: (dy, [gradient]) => ({
    value: () => tf.clone(dy as tf.Tensor),
    input: () => tf.mul(gradient!, dy as tf.Tensor),
  }),
};
