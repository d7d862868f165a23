import * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../kernels/register.ts';
import {AddRMSNorm, RMSNorm, RMSNormGrad, RMSNormWeightGrad} from '../kernels/transformer_kernel_names.ts';

export const rmsNormGradConfig: tf.GradConfig = {
  kernelName: RMSNorm,
  inputsToSave: ['x', 'weight'],
  gradFunc: (dy, saved, attrs) => {
    const [x, weight] = saved as [tf.Tensor, tf.Tensor];
    return {
      x: () => runKernel<tf.Tensor>(RMSNormGrad, {dy, x, weight}, attrs),
      weight: () => runKernel<tf.Tensor>(RMSNormWeightGrad, {dy, x}, attrs),
    };
  },
};

export const addRMSNormGradConfig: tf.GradConfig = {
  kernelName: AddRMSNorm,
  inputsToSave: ['weight'],
  outputsToSave: [false, true],
  gradFunc: (dys, saved, attrs) => {
    const [dy, dSum] = dys as tf.Tensor[];
    const [weight, sum] = saved as [tf.Tensor, tf.Tensor];
    const dx = runKernel<tf.Tensor>(RMSNormGrad, {dy, x: sum, weight, dSum}, attrs);
    return {
      x: () => dx,
      // a second tensor of the same data: tfjs disposes what it has summed up. A clone would copy it on wasm.
      residual: () => tf.reshape(dx, dx.shape),
      weight: () => runKernel<tf.Tensor>(RMSNormWeightGrad, {dy, x: sum}, attrs),
    };
  },
};
