import {WebGPUBackend} from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {activate} from './start.ts';
import {
  type OpenDevice,
  openDevice,
  resolveOptions,
  type WebGPUAdapter,
  type WebGPUOptions,
} from './webgpu_adapter.ts';

/** Makes tfjs's backend 'webgpu', on that device, the current one. */
export async function startOn({device, info}: OpenDevice): Promise<void> {
  // tfjs's package registers one by itself if navigator.gpu was there when it was imported
  if (tf.findBackendFactory('webgpu') != null) tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, info), 3);
  await activate('webgpu');
}

/**
 * Starts tfjs's backend 'webgpu' on a device of our own, and makes it the current one: with the adapter's largest limits, and
 * with optional features, for shaders that need them. Those of this package need none, and run on the device that tfjs makes
 * by itself. To be called before anything uses the backend; after a device was lost, `tf.removeBackend('webgpu')` first.
 *
 * @returns The adapter that the backend runs on.
 * @throws Error if there is no WebGPU, or no adapter that may be used; if the adapter lacks one of `features`, naming it and
 *   those it has; if the backend has started already.
 */
export async function useCELoRAWebGPU(options: WebGPUOptions = {}): Promise<WebGPUAdapter> {
  const owner = 'useCELoRAWebGPU';
  const resolved = resolveOptions(owner, options);
  const gpu = (globalThis.navigator as Partial<Navigator> | undefined)?.gpu;
  if (gpu === undefined) {
    throw new Error(`${owner}: there is no WebGPU here (navigator.gpu); in Node, setUpWebGPU makes it`);
  }
  const open = await openDevice(owner, gpu, resolved);
  await startOn(open);
  return open.adapter;
}
