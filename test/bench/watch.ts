import * as tf from '@tensorflow/tfjs-core';
import {watchOps} from '../support/tensorflow_ops.ts';

/** What one run of something took besides time. */
export interface Watched {
  /** Most bytes held at a time, each buffer counted once however many tensors share it. */
  peakBytes: number;
  /** Kernels of tfjs that computed something. */
  kernels: number;
  /** Passes of the GPU on webgpu, ops of TensorFlow on its backend; 0 on others. */
  dispatches: number;
  /** Arrays that went from JavaScript to TensorFlow; 0 on other backends. */
  uploads: number;
}

interface Tracked {
  dataId: object;
  size: number;
}
interface Watchable {
  runKernelFunc: (kernel: {kernelName?: string}) => unknown;
  trackTensor: (tensor: Tracked, ...others: unknown[]) => void;
  disposeTensor: (tensor: Tracked) => void;
  state: {kernelDepth: number};
}

/** They share memory and compute nothing. */
const FREE = new Set(['Reshape', 'Identity', 'Cast']);
/** Of every dtype that a model has. */
const BYTES = 4;

/**
 * Watches the kernels and the memory of `run`, from the moment that it says it is warm; tensors made before `run` are not
 * seen. tfjs's own count of bytes counts a reshape or a saved copy again.
 */
export async function watch(run: (warm: () => void) => Promise<void>): Promise<Watched> {
  const engine = tf.engine() as unknown as Watchable;
  const {runKernelFunc, trackTensor, disposeTensor} = engine;
  const holders = new WeakMap<object, number>();
  let bytes = 0;
  const none = (): Watched => ({peakBytes: bytes, kernels: 0, dispatches: 0, uploads: 0});
  let seen = none();
  engine.trackTensor = function (tensor, ...others) {
    const held = holders.get(tensor.dataId) ?? 0;
    holders.set(tensor.dataId, held + 1);
    if (held === 0) bytes += BYTES * tensor.size;
    seen.peakBytes = Math.max(seen.peakBytes, bytes);
    trackTensor.call(this, tensor, ...others);
  };
  engine.disposeTensor = function (tensor) {
    const held = holders.get(tensor.dataId) ?? 0;
    if (held > 0) holders.set(tensor.dataId, held - 1);
    if (held === 1) bytes -= BYTES * tensor.size;
    disposeTensor.call(this, tensor);
  };
  engine.runKernelFunc = function (kernel) {
    const result = runKernelFunc.call(this, kernel);
    if (this.state.kernelDepth === 0 && !FREE.has(kernel.kernelName ?? '')) seen.kernels++;
    return result;
  };
  const pass = (globalThis as {GPUComputePassEncoder?: {prototype: GPUComputePassEncoder}})
    .GPUComputePassEncoder?.prototype;
  const dispatch = pass?.dispatchWorkgroups;
  if (pass && dispatch) {
    pass.dispatchWorkgroups = function (...sizes: Parameters<typeof dispatch>) {
      seen.dispatches++;
      dispatch.apply(this, sizes);
    };
  }
  const ops = watchOps();
  try {
    await run(() => {
      seen = none();
      ops?.reset();
    });
    seen.dispatches += ops?.ops.length ?? 0;
    seen.uploads += ops?.uploads.length ?? 0;
  } finally {
    ops?.dispose();
    for (const name of ['runKernelFunc', 'trackTensor', 'disposeTensor'])
      Reflect.deleteProperty(engine, name);
    if (pass && dispatch) pass.dispatchWorkgroups = dispatch;
  }
  return seen;
}
