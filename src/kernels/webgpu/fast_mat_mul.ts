import * as tf from '@tensorflow/tfjs-core';
import {sharedInstall} from '../../gradients/shared_install.ts';
import type {FusedActivation} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {gemm} from './gemm.ts';
import {registerWebGPUKernels, usesShaders} from './register.ts';

interface Operands {
  a: tf.TensorInfo;
  b: tf.TensorInfo;
  bias?: tf.TensorInfo;
  preluActivationWeights?: tf.TensorInfo;
}
interface Attributes {
  transposeA: boolean;
  transposeB: boolean;
  activation?: string;
}

/** A flag of tf.env(): least multiply-adds for which our product takes over. */
const LEAST_WORK = 'CELORA_FAST_MATMUL_LEAST_WORK';
/**
 * Below, tfjs's four programs are about as fast. Measured on an H100 by its clock, ours over stock's of A B / A Bᵀ / Aᵀ B:
 * [512, 512] · [512, 512] (134 M) 1.13 / .89 / 1.21, [1024, 512] · [512, 512] (268 M) .76 / .56 / .83, [512, 512] · [512, 1408]
 * (369 M) .91 / .62 / 1.02, [4096, 256] · [256, 768] (805 M) .74 / .48 / .86, [2048, 2048] · [2048, 2048] (8.6 G) .50 / .33 / .60.
 */
const DEFAULT_LEAST_WORK = 2 ** 28;

const ACTIVATIONS: readonly string[] = ['linear', 'relu', 'elu'] satisfies FusedActivation[];

/** The product as ours; undefined where tfjs's own is to serve. */
function fastProduct(
  backend: WebGPUBackend,
  {a, b, bias, preluActivationWeights}: Operands,
  {transposeA, transposeB, activation = 'linear'}: Attributes,
): tf.TensorInfo | undefined {
  if (!usesShaders() || preluActivationWeights || !ACTIVATIONS.includes(activation)) return undefined;
  const batchShape = a.shape.slice(0, -2);
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [m, depth] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const n = transposeB ? rowsB : columnsB;
  const batch = tf.util.sizeFromShape(batchShape);
  // a batch that is broadcast, or a bias of more than one row, is rare
  const plain =
    tf.util.arraysEqual(batchShape, b.shape.slice(0, -2)) &&
    a.dtype === 'float32' &&
    b.dtype === 'float32' &&
    (bias === undefined || (bias.shape.length === 1 && bias.shape[0] === n));
  if (!plain || batch * m * n * depth < tf.env().getNumber(LEAST_WORK)) return undefined;
  const output = backend.makeTensorInfo([...batchShape, m, n], 'float32');
  gemm(
    backend,
    {
      label: 'FastMatMul',
      m,
      n,
      segments: [{a, b, depth}],
      turnedA: transposeA,
      plainB: !transposeB,
      bias,
      activation: activation as FusedActivation,
      batch,
    },
    output,
  );
  return output;
}

function replaceKernel(kernelName: string): () => void {
  const stock = tf.getKernel(kernelName, 'webgpu');
  const register = (config: tf.KernelConfig) => {
    tf.unregisterKernel(kernelName, 'webgpu');
    tf.registerKernel(config);
  };
  register({
    ...stock,
    kernelFunc: (args) =>
      fastProduct(
        args.backend as WebGPUBackend,
        args.inputs as unknown as Operands,
        args.attrs as unknown as Attributes,
      ) ?? stock.kernelFunc(args),
  });
  return () => register(stock);
}

const install = sharedInstall(() => {
  tf.env().registerFlag(LEAST_WORK, () => DEFAULT_LEAST_WORK);
  const restores = [tf.BatchMatMul, tf._FusedMatMul].map(replaceKernel);
  return () => {
    for (const restore of restores) restore();
  };
});

/**
 * Makes every product of tfjs on backend 'webgpu' faster, of any model: `tf.matMul` and `tf.fused.matMul` (hence
 * `tf.layers.dense`) go through this package's product where that is the faster one (of 2³⁰ multiply-adds or more). Values are
 * the same but for float32 rounding, since the sums run in another order.
 * @returns An installation; when the last one is disposed, tfjs has its own kernels back.
 * @throws Error if '@tensorflow/tfjs-backend-webgpu' was not imported.
 */
export function installFastMatMul(): ReturnType<typeof install> {
  if (tf.getKernel(tf.BatchMatMul, 'webgpu') == null) {
    throw new Error(
      "installFastMatMul: backend 'webgpu' is not registered; import @tensorflow/tfjs-backend-webgpu first",
    );
  }
  registerWebGPUKernels();
  return install();
}
