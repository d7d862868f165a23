import {existsSync} from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import {activate, importOptional} from './start.ts';

/** The graphics adapter that WebGPU runs on. */
export interface WebGPUAdapter {
  /** As WebGPU names it, 'nvidia' for one. */
  vendor: string;
  /** Family of the GPU, 'hopper' for one; may be empty. */
  architecture: string;
  /** The device and its driver, 'nvidia-h200, NVIDIA: 580.159.04' for one. */
  description: string;
  /** It computes on the CPU (SwiftShader, llvmpipe), far slower than backend wasm. */
  isSoftware: boolean;
}

export interface WebGPUOptions {
  /** Also take a software adapter if there is no real one. Default false. */
  allowSoftware?: boolean;
}

/** What tfjs itself asks of its device in a browser, beyond what every adapter must give. */
const FEATURES = ['timestamp-query'] as const;
const LIMITS = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
] as const;

const NO_ADAPTER = 'WebGPU finds no adapter: no GPU, or no driver for it';

let inUse: WebGPUAdapter | undefined;

function describe(info: GPUAdapterInfo): WebGPUAdapter {
  const {vendor, architecture, device, description} = info;
  // the names serve versions of the package in which the info has no isFallbackAdapter
  const isSoftware =
    info.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe/i.test(`${device} ${description}`);
  return {vendor, architecture, description: [device, description].filter(Boolean).join(', '), isSoftware};
}

function refuseSoftware(adapter: WebGPUAdapter, allowSoftware: boolean): void {
  if (adapter.isSoftware && !allowSoftware) {
    throw new Error(`WebGPU finds only a software adapter: ${adapter.description}`);
  }
}

/** What a GPU shows as on Linux: of a desktop's driver, NVIDIA's own, Windows' subsystem, two families of phones. */
const GPU_NODES = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg', '/dev/kgsl-3d0', '/dev/mali0'];
/** Variables by which a user names Vulkan's drivers. */
const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ADD_DRIVER_FILES', 'VK_ICD_FILENAMES'];

/** Dawn complains on stderr where there is no driver, in two lines that look like a crash. */
const cannotHaveGPU = (): boolean =>
  process.platform === 'linux' &&
  !GPU_NODES.some((path) => existsSync(path)) &&
  !DRIVER_VARIABLES.some((name) => process.env[name]);

async function register(allowSoftware: boolean): Promise<WebGPUAdapter> {
  const [dawn, {WebGPUBackend}] = await importOptional(
    'WebGPU in Node',
    ['webgpu', '@tensorflow/tfjs-backend-webgpu'],
    () => Promise.all([import('webgpu'), import('@tensorflow/tfjs-backend-webgpu')]),
  );
  if (!allowSoftware && cannotHaveGPU()) throw new Error(NO_ADAPTER);
  const gpu = dawn.create([]);
  const adapter = await gpu.requestAdapter({powerPreference: 'high-performance'});
  if (adapter === null) throw new Error(NO_ADAPTER);
  const found = describe(adapter.info);
  refuseSoftware(found, allowSoftware);
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  });
  Object.assign(globalThis, dawn.globals);
  globalThis.navigator ??= {} as Navigator; // Node 20 has none
  Object.defineProperty(globalThis.navigator, 'gpu', {value: gpu, configurable: true});
  // tfjs's package registers its backend only if navigator.gpu was there when it was imported, and on whatever
  // adapter it then gets
  if (tf.findBackendFactory('webgpu') != null) tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, adapter.info), 3);
  return found;
}

/**
 * Makes tfjs's backend 'webgpu' work in Node and makes it the current one. WebGPU is Dawn's (npm package `webgpu`);
 * its classes and `navigator.gpu` become globals. Whether '@tensorflow/tfjs-backend-webgpu' was imported before does
 * not matter. A second call finds the backend of the first.
 *
 * @returns The adapter that the backend runs on.
 * @throws Error if one of the two packages is missing, or there is no adapter that may be used.
 */
export async function setUpWebGPU({allowSoftware = false}: WebGPUOptions = {}): Promise<WebGPUAdapter> {
  inUse ??= await register(allowSoftware);
  refuseSoftware(inUse, allowSoftware);
  await activate('webgpu');
  return inUse;
}
