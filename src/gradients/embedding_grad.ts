import type * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../kernels/register.ts';
import {EmbeddingGrad, EmbeddingLookup} from '../kernels/training_kernel_names.ts';

export const embeddingLookupGradConfig: tf.GradConfig = {
  kernelName: EmbeddingLookup,
  inputsToSave: ['ids'],
  gradFunc: (dy, [ids], attrs) => ({table: () => runKernel(EmbeddingGrad, {dy, ids}, attrs)}),
};
