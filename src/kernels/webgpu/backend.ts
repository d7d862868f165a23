import type * as tf from '@tensorflow/tfjs-core';
import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';

/**
 * What we use of tfjs's WebGPUBackend, private parts included: they are those of tfjs-backend-webgpu 4.22, and all that
 * reads or writes them is dispatch.ts, device_errors.ts, encoding_cache.ts and free_buffers.ts.
 */
export interface WebGPUBackend extends KernelBackend {
  device: GPUDevice;
  adapterInfo: {vendor: string; architecture: string};
  /** dtype is that of the numbers in the buffer, whatever a tensor that was cast says. */
  tensorMap: {get(dataId: object): {resource: GPUBuffer | null; dtype: tf.DataType}};
  /** tfjs's own programs; those that are being compiled ahead are promises. */
  pipelineCache: Record<string, GPUComputePipeline | Promise<GPUComputePipeline>>;
  checkCompileCompletionAsync(): Promise<void>;
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  dispatchCountInPass: number;
  commandQueueOwnedIds: WeakSet<object>;
  bufferManager: {
    acquireBuffer(size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean): GPUBuffer;
    /** By `${size}_${usage}`. */
    freeBuffers: Map<string, GPUBuffer[]>;
    numFreeBuffers: number;
    numBytesAllocated: number;
  };
  uniformPendingDisposal: GPUBuffer[];
  activeTimers: {name: string; query: Promise<number>}[] | null;
  supportTimestampQuery: boolean;
  querySet: GPUQuerySet | null;
  querySetCount: number;
  makeTensorInfo(shape: number[], dtype: 'float32' | 'int32', values?: Float32Array): TensorInfo;
  uploadToGPU(dataId: object): void;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  getQueryTime(): Promise<number>;
  makeUniforms(fields: object[]): {offset: number; size: number; buffer: GPUBuffer};
}
