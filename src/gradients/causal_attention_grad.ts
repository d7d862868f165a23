import type * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../kernels/register.ts';
import {CausalAttention, CausalAttentionGrad} from '../kernels/transformer_kernel_names.ts';

/** dq, dk and dv in one pass: where one is needed the others are too. */
export const causalAttentionGradConfig: tf.GradConfig = {
  kernelName: CausalAttention,
  saveAllInputs: true,
  outputsToSave: [true, true],
  gradFunc: (dys, saved, attrs) => {
    // logSumExp leads nowhere, and the zeros that tfjs makes for its gradient are not read
    const [dy] = dys as tf.Tensor[];
    const [q, k, v] = saved;
    const [y, logSumExp] = saved.slice(-2);
    const segments = saved.length > 5 ? saved[3] : undefined;
    const [dq, dk, dv] = runKernel<[tf.Tensor, tf.Tensor, tf.Tensor]>(
      CausalAttentionGrad,
      {dy, q, k, v, y, logSumExp, segments},
      attrs,
    );
    return {0: () => dq, 1: () => dk, 2: () => dv};
  },
};
