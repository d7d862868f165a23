import * as tf from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from '../kernels/webgpu/backend.ts';

/**
 * Bytes of the largest tensor that kernels of the current backend can take: on WebGPU the largest buffer that the device lets
 * a shader see, of which some devices allow no more than 128 MiB. Infinite elsewhere.
 */
export function largestTensor(): number {
  if (tf.getBackend() !== 'webgpu') return Number.POSITIVE_INFINITY;
  const {maxBufferSize, maxStorageBufferBindingSize} = (tf.backend() as WebGPUBackend).device.limits;
  return Math.min(maxBufferSize, maxStorageBufferBindingSize);
}
