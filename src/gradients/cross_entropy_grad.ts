import * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../kernels/register.ts';
import {CrossEntropyGrad, CrossEntropyLoss} from '../kernels/training_kernel_names.ts';

/** The gradient of the whole loss: scale (1 / count, or 1 for a sum) times dy goes into the kernel. */
export const crossEntropyLossGradConfig: tf.GradConfig = {
  kernelName: CrossEntropyLoss,
  inputsToSave: ['logits', 'labels', 'top', 'total', 'scale'],
  gradFunc: (dy, [logits, labels, top, total, scale]) => ({
    logits: () =>
      runKernel(CrossEntropyGrad, {logits, labels, top, total, scale: tf.mul(scale!, dy as tf.Tensor)}),
  }),
};
