import {getThreadsCount, setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import plainWasm from '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.wasm?url';
import simdWasm from '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url';
import threadedWasm from '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-threaded-simd.wasm?url';
import * as tf from '@tensorflow/tfjs-core';
import {refuseWithoutMemory} from '../../../src/backends/wasm_memory.ts';
import {useCELoRAWebGPU} from '../../../src/webgpu.ts';
import type {BackendChoice, BackendInfo} from '../protocol.ts';
import {withThreads} from './wasm_threads.ts';

async function startWebGPU(allowSoftware: boolean): Promise<BackendInfo> {
  const {description, vendor, architecture, isSoftware} = await useCELoRAWebGPU({allowSoftware});
  const device = description || [vendor, architecture].filter(Boolean).join(' ') || 'a GPU';
  return {backend: 'webgpu', device, isSoftware, threads: 1, reason: ''};
}

async function startWasm(reason: string): Promise<BackendInfo> {
  setWasmPaths({
    'tfjs-backend-wasm.wasm': plainWasm,
    'tfjs-backend-wasm-simd.wasm': simdWasm,
    'tfjs-backend-wasm-threaded-simd.wasm': threadedWasm,
  });
  if (!(await withThreads(() => tf.setBackend('wasm'))))
    throw new Error('WebAssembly does not start in this browser');
  refuseWithoutMemory();
  const threads = getThreadsCount();
  const device = `WebAssembly, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  return {backend: 'wasm', device, isSoftware: true, threads, reason};
}

/**
 * Starts what the page is to compute on.
 * @throws Error if what was asked for does not start, or nothing does.
 */
export async function startBackend(choice: BackendChoice): Promise<BackendInfo> {
  if (choice === 'webgpu') return await startWebGPU(true);
  if (choice === 'wasm') return await startWasm('');
  try {
    return await startWebGPU(false);
  } catch (error) {
    const {message} = error as Error;
    return await startWasm(
      'gpu' in navigator ? message.replace(/[:\s]+$/, '') : 'this browser has no WebGPU',
    );
  }
}

/** Calls back when the GPU is lost, or has no memory left for what tfjs asks of it. */
export function watchDevice(onLost: (why: string) => void, onNoMemory: (message: string) => void): void {
  if (tf.getBackend() !== 'webgpu') return;
  const {device} = tf.backend() as unknown as {device: GPUDevice};
  void device.lost.then(({message}) => onLost(message));
  device.addEventListener('uncapturederror', ({error}) => {
    if (error instanceof GPUOutOfMemoryError) onNoMemory(error.message);
  });
}
