import * as tf from '@tensorflow/tfjs-core';
import * as names from '../kernel_names.ts';
import {portableKernel} from '../portable/register.ts';
import type {WebGPUBackend} from './backend.ts';
import {columnScores, packColumns, selectColumns} from './columns.ts';
import {
  activationGrad,
  approxActivationGrad,
  loraMatMul,
  lowRankMatMul,
  sampledActivationGrad,
} from './products.ts';

type Implementation = (
  backend: WebGPUBackend,
  inputs: never,
  attrs: never,
) => tf.TensorInfo | tf.TensorInfo[];

const KERNELS: Record<string, Implementation> = {
  [names.LoRAMatMul]: loraMatMul,
  [names.LowRankMatMul]: lowRankMatMul,
  [names.ActivationGrad]: activationGrad,
  [names.ApproxActivationGrad]: approxActivationGrad,
  [names.PackColumns]: packColumns,
  [names.SampledActivationGrad]: sampledActivationGrad,
  [names.ColumnScores]: columnScores,
  [names.SelectColumns]: selectColumns,
};

/** Whether backend 'webgpu' uses our shaders; by default where the adapter is a real one. */
const FLAG = 'CELORA_WEBGPU_SHADERS';

/**
 * On a software adapter, which compiles a shader of ours in seconds and gains nothing from tiles, stock programs serve.
 */
const isSoftware = ({adapterInfo}: WebGPUBackend) => /swiftshader|llvmpipe/i.test(adapterInfo.architecture);

/** Registers our WebGPU kernels, once. */
export function registerWebGPUKernels(): void {
  if (tf.getKernel(names.LoRAMatMul, 'webgpu') != null) return;
  tf.env().registerFlag(FLAG, () => !isSoftware(tf.findBackend('webgpu') as WebGPUBackend));
  for (const [kernelName, implementation] of Object.entries(KERNELS)) {
    const portable = portableKernel(kernelName);
    tf.registerKernel({
      kernelName,
      backendName: 'webgpu',
      kernelFunc: (args) =>
        tf.env().getBool(FLAG)
          ? implementation(args.backend as WebGPUBackend, args.inputs as never, args.attrs as never)
          : portable(args),
    });
  }
}
