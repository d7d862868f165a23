import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type {TensorFlowBackend} from '../kernels/tensorflow/backend.ts';
import {registerTensorFlowKernels} from '../kernels/tensorflow/register.ts';
import {runSingle, useOps} from '../kernels/tensorflow/run_op.ts';

/** Our ops for TensorFlow: kernels/cuda, built by npm run build:native. */
const ADDON = fileURLToPath(new URL('../../native/celora_ops.node', import.meta.url));

/** Runs one of the ops and reads what it makes, so that a GPU or driver that they do not fit shows now. */
function tryOut(): void {
  const values = tf.tidy(() => {
    const x = tf.tensor1d([0, 8]);
    const op = {name: 'GatedUnit', reals: [x, x], counts: {gelu: false}};
    return (runSingle(tf.backend() as TensorFlowBackend, op) as tf.Tensor).dataSync();
  });
  // 8 · σ(8) · 8
  if (values[0] !== 0 || Math.abs(values[1]! - 63.9785) > 1e-3) throw new Error(`an op gives ${values}`);
}

function register(addon: string): string | undefined {
  if (!existsSync(addon)) return `there is no ${addon} (npm run build:native)`;
  try {
    const {prefix} = createRequire(import.meta.url)(addon) as {prefix: string};
    useOps(prefix);
    tryOut();
    registerTensorFlowKernels(prefix);
    return undefined;
  } catch (error) {
    return (error as Error).message.split('\n')[0]!;
  }
}

let reason: {missing: string | undefined} | undefined;

/**
 * Makes our kernels on backend 'tensorflow', which must be the current one, our own ops; the first call counts.
 * @returns Why that cannot be, and TensorFlow's stock ops serve; undefined if it can.
 */
export function registerNativeOps(addon = ADDON): string | undefined {
  reason ??= {missing: register(addon)};
  return reason.missing;
}
