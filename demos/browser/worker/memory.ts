import * as tf from '@tensorflow/tfjs-core';
import type {LoadedLlama} from '../../llama/load.ts';
import {trainingMemory} from '../../llama/memory.ts';
import type {Settings} from '../settings.ts';
import {SettingError} from './errors.ts';

/** The heap of tfjs's WebAssembly module can grow to 4 GiB, and fragments. */
const WASM_BYTES = 0.9 * 4 * 2 ** 30;

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(bytes < 1e8 ? 3 : 1)} GB`;

/** Bytes that tensors take on the device. */
export function usedMemory(): number {
  const info = tf.memory() as tf.MemoryInfo & {numBytesInGPU?: number};
  return info.numBytesInGPU ?? info.numBytes;
}

/** Whether the GPU has so many bytes left. WebGPU does not say what there is: it is asked for them, and they are given back. */
async function hasLeft(device: GPUDevice, bytes: number): Promise<boolean> {
  const buffers: GPUBuffer[] = [];
  device.pushErrorScope('out-of-memory');
  try {
    for (let left = bytes; left > 0; left -= device.limits.maxBufferSize) {
      const size = Math.ceil(Math.min(left, device.limits.maxBufferSize) / 4) * 4;
      buffers.push(device.createBuffer({size, usage: GPUBufferUsage.STORAGE}));
    }
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
  return (await device.popErrorScope()) === null;
}

/** @throws SettingError, with the figure, for a run that takes more memory than there is. */
export async function refuseTooLarge({config}: LoadedLlama, settings: Settings): Promise<void> {
  const bytes = trainingMemory(config, settings);
  const {batch, seq} = settings;
  const figure = `Batch ${batch} of ${seq} tokens takes about ${gigabytes(bytes)} of memory`;
  if (tf.getBackend() !== 'webgpu') {
    if (bytes <= WASM_BYTES) return;
    throw new SettingError(`${figure}, but WebAssembly can have ${gigabytes(WASM_BYTES)}`);
  }
  const {device} = tf.backend() as unknown as {device: GPUDevice};
  if (await hasLeft(device, bytes - usedMemory())) return;
  throw new SettingError(`${figure}, which the GPU does not have left`);
}
