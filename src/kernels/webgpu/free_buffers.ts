import * as tf from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from './backend.ts';

/**
 * Gives back to the GPU the buffers that tfjs's WebGPU backend keeps of tensors that are disposed, for tensors of the same
 * size to come: it gives none back by itself. What a model was loaded from or converted with is then free for its training;
 * `fineTune` begins so. On other backends nothing is done.
 * @returns Bytes given back.
 */
export function releaseFreeBuffers(): number {
  if (tf.getBackend() !== 'webgpu') return 0;
  const backend = tf.backend() as unknown as WebGPUBackend;
  const manager = backend.bufferManager;
  // what is disposed while commands that read it are recorded is free once they are submitted
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
  let bytes = 0;
  for (const buffers of manager.freeBuffers.values()) {
    for (const buffer of buffers) {
      bytes += buffer.size;
      buffer.destroy();
    }
    manager.numFreeBuffers -= buffers.length;
    buffers.length = 0;
  }
  manager.numBytesAllocated -= bytes;
  return bytes;
}
