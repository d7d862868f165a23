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
 * Below, tfjs's four programs are about as fast. Measured on an H200,
 * milliseconds ours / stock: [512, 512] · [512, 1408] (0.4 G) 0.051 / 0.043, [2048, 2048] · [2048, 256] (1.1 G) 0.106 /
 * 0.111 and transposed 0.067 / 0.170, [2048, 2048] · [2048, 5632] (24 G) 1.34 / 2.11 and transposed 1.25 / 3.49.
 */
const DEFAULT_LEAST_WORK = 2 ** 30;

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
