import * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../kernels/register.ts';
import {LayerNorm, LayerNormGrad, LayerNormWeightGrad} from '../kernels/transformer_kernel_names.ts';

export const layerNormGradConfig: tf.GradConfig = {
  kernelName: LayerNorm,
  inputsToSave: ['x', 'gamma'],
  gradFunc: (dyOrDys, saved, attrs) => {
    const dy = dyOrDys as tf.Tensor;
    const [x, gamma] = saved as [tf.Tensor, tf.Tensor];
    return {
      x: () => runKernel<tf.Tensor>(LayerNormGrad, {dy, x, gamma}, attrs),
      gamma: () => runKernel<tf.Tensor>(LayerNormWeightGrad, {dy, x}, attrs),
      beta: () => tf.sum(tf.reshape(dy, [-1, gamma.size]), 0),
    };
  },
};
