import * as tf from '@tensorflow/tfjs-core';
import {requireBoolean, requireOptions, show} from '../config.ts';

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
  /** Optional features that the device was made with, in alphabetical order. */
  features: string[];
}

export interface WebGPUOptions {
  /** Also take a software adapter if there is no real one. Default false. */
  allowSoftware?: boolean;
  /**
   * Optional features that the device must have, as 'subgroups' or 'shader-f16'. What tfjs itself asks for where the
   * adapter has it comes on top. Default none.
   */
  features?: readonly GPUFeatureName[];
  /** Of several adapters. Default 'high-performance'. */
  powerPreference?: GPUPowerPreference;
}

export const NO_ADAPTER = 'WebGPU finds no adapter: no GPU, or no driver for it';

/** What tfjs asks for by itself, where the adapter has it. */
const TFJS_FEATURES: readonly GPUFeatureName[] = ['timestamp-query', 'bgra8unorm-storage'];

/** Taken as large as the adapter has them: those that tfjs takes, and the other two sides of a workgroup. */
const LIMITS = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeInvocationsPerWorkgroup',
] as const;

const POWER_PREFERENCES: readonly unknown[] = ['high-performance', 'low-power'];
const NAMES: readonly string[] = ['allowSoftware', 'features', 'powerPreference'];

/** The options with their defaults, checked; `owner` is who was given them, and knows `others` besides. */
export function resolveOptions(
  owner: string,
  options: WebGPUOptions,
  others: readonly string[] = [],
): Required<WebGPUOptions> {
  requireOptions(owner, options);
  const names = [...NAMES, ...others];
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new Error(`${owner}: unknown option ${unknown}; there are ${names.join(', ')}`);
  }
  const {allowSoftware = false, features = [], powerPreference = 'high-performance'} = options;
  requireBoolean(owner, 'allowSoftware', allowSoftware);
  if (!Array.isArray(features)) {
    throw new Error(`${owner}: features must be an array of names, but is ${show(features)}`);
  }
  if (!POWER_PREFERENCES.includes(powerPreference)) {
    const known = POWER_PREFERENCES.map(show).join(' or ');
    throw new Error(`${owner}: powerPreference must be ${known}, but is ${show(powerPreference)}`);
  }
  return {allowSoftware, features, powerPreference};
}

/** Whether a backend has been made, not only registered; tfjs's own `findBackend` would make it. */
export const isStarted = (name: string): boolean => name in tf.engine().registry;

function describe({vendor, architecture, device, description, isFallbackAdapter}: GPUAdapterInfo) {
  // the names serve versions of WebGPU in which the info has no isFallbackAdapter
  const isSoftware =
    isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe/i.test(`${device} ${description}`);
  return {vendor, architecture, description: [device, description].filter(Boolean).join(', '), isSoftware};
}

/** @throws Error if the adapter is a software one that is not allowed. */
export function refuseSoftware(
  {isSoftware, description}: Pick<WebGPUAdapter, 'isSoftware' | 'description'>,
  allowSoftware: boolean,
): void {
  if (isSoftware && !allowSoftware) throw new Error(`WebGPU finds only a software adapter: ${description}`);
}

/** A device of our own, and the adapter that it is one of. */
export interface OpenDevice {
  device: GPUDevice;
  info: GPUAdapterInfo;
  adapter: WebGPUAdapter;
}

/** Opens a device of `gpu`, unless backend 'webgpu' has one; `owner` is who does, for messages. */
export async function openDevice(
  owner: string,
  gpu: GPU,
  {allowSoftware, features, powerPreference}: Required<WebGPUOptions>,
): Promise<OpenDevice> {
  if (isStarted('webgpu')) {
    throw new Error(`${owner}: backend 'webgpu' has started already; call this before anything uses it`);
  }
  const adapter = await gpu.requestAdapter({powerPreference});
  if (adapter === null) throw new Error(NO_ADAPTER);
  const found = describe(adapter.info);
  refuseSoftware(found, allowSoftware);
  const offered = [...adapter.features].sort() as GPUFeatureName[];
  const absent = features.find((feature) => !offered.includes(feature));
  if (absent !== undefined) {
    throw new Error(
      `${owner}: features has ${show(absent)}, which ${found.description} lacks; it has ${offered.join(', ')}`,
    );
  }
  const wanted = offered.filter((name) => features.includes(name) || TFJS_FEATURES.includes(name));
  const device = await adapter.requestDevice({
    requiredFeatures: wanted,
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  });
  return {device, info: adapter.info, adapter: {...found, features: wanted}};
}
