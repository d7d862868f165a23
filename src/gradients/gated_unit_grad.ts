import type * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../kernels/register.ts';
import {GatedUnit, GatedUnitGrad} from '../kernels/transformer_kernel_names.ts';

/** Both gradients in one pass: where one is needed the other is too. */
export const gatedUnitGradConfig: tf.GradConfig = {
  kernelName: GatedUnit,
  inputsToSave: ['gate', 'up'],
  gradFunc: (dy, [gate, up], attrs) => {
    const [dGate, dUp] = runKernel<[tf.Tensor, tf.Tensor]>(GatedUnitGrad, {dy, gate, up}, attrs);
    return {gate: () => dGate, up: () => dUp};
  },
};
