/**
 * What `useCELoRAWebGPU` does from a fresh process on, in which nothing has started backend 'webgpu' yet. Writes it as JSON.
 */
import '@tensorflow/tfjs-layers';
import * as tf from '@tensorflow/tfjs-core';
import {create, globals} from 'webgpu';
import {loraMatMul} from '../../src/index.ts';
import type {WebGPUBackend} from '../../src/kernels/webgpu/backend.ts';
import {registerWebGPUKernels} from '../../src/kernels/webgpu/register.ts';
import {setUpWebGPU} from '../../src/node.ts';
import {useCELoRAWebGPU} from '../../src/webgpu.ts';
import {failure} from '../support/failure.ts';
import {offerSwiftShader} from '../support/swiftshader.ts';

/** [1, 2] · W of ones, through our kernel. */
async function product(): Promise<number[]> {
  registerWebGPUKernels();
  tf.env().set('CELORA_WEBGPU_SHADERS', true);
  const y = tf.tidy(() => loraMatMul({x: tf.tensor2d([[1, 2]]), kernel: tf.ones([2, 3]) as tf.Tensor2D}));
  return Array.from(await y.data());
}

async function observe() {
  offerSwiftShader();
  const withoutWebGPU = await failure(useCELoRAWebGPU());
  const gpu = create([]);
  const adapter = (await gpu.requestAdapter())!;
  Object.assign(globalThis, globals);
  globalThis.navigator ??= {} as Navigator;
  Object.defineProperty(globalThis.navigator, 'gpu', {value: gpu, configurable: true});
  const wrong = 'no-such-feature' as GPUFeatureName;
  const withoutFeature = await failure(useCELoRAWebGPU({features: [wrong], allowSoftware: true}));
  const features = [...adapter.features].filter((name) => name === 'subgroups') as GPUFeatureName[];
  const found = await useCELoRAWebGPU({features, allowSoftware: true});
  const {device} = tf.backend() as WebGPUBackend;
  return {
    withoutWebGPU,
    withoutFeature,
    offered: [...adapter.features],
    found,
    current: tf.getBackend(),
    features: [...device.features],
    limits: ['maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxBufferSize'].map(
      (name) => [device.limits[name as 'maxBufferSize'], adapter.limits[name as 'maxBufferSize']],
    ),
    product: await product(),
    again: await failure(useCELoRAWebGPU({allowSoftware: true})),
    lost: await loseDevice(device),
    unchecked: await withoutRobustness(),
  };
}

/** A product on a device that does not check where shaders read and write. */
async function withoutRobustness() {
  tf.removeBackend('webgpu');
  await setUpWebGPU({allowSoftware: true, robustness: false});
  return product();
}

/** A product under way, one after the loss, and one on the device after it. */
async function loseDevice(device: GPUDevice) {
  const underWay = failure(product());
  device.destroy();
  const messages = [await underWay, await failure(product())];
  tf.removeBackend('webgpu');
  await useCELoRAWebGPU({allowSoftware: true});
  return {messages, product: await product()};
}

export type Seen = Awaited<ReturnType<typeof observe>>;

console.log(JSON.stringify(await observe()));
process.exit(0); // a GPU device keeps the process alive
