import * as tf from '@tensorflow/tfjs-core';
import {loraMatMulGradConfig} from './lora_mat_mul_grad.ts';

/** Registers the gradients of our kernels with tfjs, once. */
export function registerGradients(): void {
  if (tf.getGradient(loraMatMulGradConfig.kernelName) == null) tf.registerGradient(loraMatMulGradConfig);
}
