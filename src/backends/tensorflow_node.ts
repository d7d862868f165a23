import './node_util_shim.ts';
import {createRequire} from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import {setBreakEven} from '../kernels/break_even.ts';
import type {TensorFlowBackend} from '../kernels/tensorflow/backend.ts';
import {usesOwnOps} from '../kernels/tensorflow/register.ts';
import {installTensorFlowSharing} from '../kernels/tensorflow/sharing.ts';
import {registerNativeOps} from './native_ops.ts';
import {activate, isMissing} from './start.ts';

/** TensorFlow's library, in which tfjs's backend 'tensorflow' computes. */
export interface TensorFlowLibrary {
  /** '2.20.0' for one. */
  version: string;
  /** Whether it computes on a CUDA GPU: without one, or where a CUDA library is missing, it takes the CPU in silence. */
  onGPU: boolean;
  /** Why the package's own CUDA kernels do not serve, and TensorFlow's stock ops do; undefined if they can. */
  stockOps: string | undefined;
  /** What spares it operations and uploads: tfjs's own kernels take over when it is disposed. */
  sharing: ReturnType<typeof installTensorFlowSharing>;
}

/**
 * By stock ops in TF32, on an H200, approximating to keep .25 gains nothing at 12 GFLOP a product, 6e9 multiply-adds, and
 * some at 46 GFLOP.
 */
const STOCK_BREAK_EVEN = 23e9;

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];

/** Loads the first of the packages that is installed, here or in a folder of NODE_PATH. */
function load(): void {
  const require = createRequire(import.meta.url);
  for (const name of PACKAGES) {
    try {
      require(name);
      return;
    } catch (cause) {
      if (isMissing(cause as NodeJS.ErrnoException)) continue;
      const why = (cause as Error).message.split('\n')[0];
      throw new Error(`TensorFlow for Node does not load: ${why}: npx tfjs-celora doctor`, {cause});
    }
  }
  throw new Error('TensorFlow for Node is not installed: npx tfjs-celora setup tensorflow');
}

/**
 * Makes tfjs's backend 'tensorflow' the current one. On Node 23 and later too, for which tfjs-node itself is too old.
 *
 * @throws Error if neither '@tensorflow/tfjs-node-gpu' nor '@tensorflow/tfjs-node' is installed, or it does not load.
 */
export async function setUpTensorFlow(): Promise<TensorFlowLibrary> {
  if (tf.findBackendFactory('tensorflow') == null) load();
  await activate('tensorflow');
  const {binding, isUsingGpuDevice: onGPU} = tf.backend() as TensorFlowBackend;
  sharing ??= installTensorFlowSharing();
  const stockOps = registerNativeOps();
  if (onGPU && stockOps !== undefined) sayOnce(stockOps);
  setBreakEven('tensorflow', () =>
    onGPU && (stockOps !== undefined || !usesOwnOps()) ? STOCK_BREAK_EVEN : 0,
  );
  return {version: binding.TF_Version, onGPU, stockOps, sharing};
}

let sharing: TensorFlowLibrary['sharing'] | undefined;

let said = false;

function sayOnce(reason: string): void {
  if (!said) console.warn(`tfjs-celora: TensorFlow's stock ops serve instead of our CUDA kernels: ${reason}`);
  said = true;
}
