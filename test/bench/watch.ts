import * as tf from '@tensorflow/tfjs-core';

/** What one run of something took besides time. */
export interface Watched {
  /** Most bytes in tensors at the end of any kernel. */
  peakBytes: number;
  /** Kernels of tfjs that computed something, and passes of the GPU (0 where that is not WebGPU). */
  kernels: number;
  dispatches: number;
}

interface Watchable {
  runKernelFunc: (kernel: {kernelName?: string}) => unknown;
  state: {numBytes: number; kernelDepth: number};
}

/** They share memory and compute nothing. */
const FREE = new Set(['Reshape', 'Identity', 'Cast']);

/** Runs something once and watches every kernel of it. */
export async function watch(run: () => Promise<void>): Promise<Watched> {
  const engine = tf.engine() as unknown as Watchable;
  const seen: Watched = {peakBytes: 0, kernels: 0, dispatches: 0};
  const {runKernelFunc} = engine;
  engine.runKernelFunc = function (this: Watchable, kernel) {
    const result = runKernelFunc.call(this, kernel);
    if (this.state.kernelDepth === 0 && !FREE.has(kernel.kernelName ?? '')) seen.kernels++;
    seen.peakBytes = Math.max(seen.peakBytes, this.state.numBytes);
    return result;
  };
  const encoder = (
    globalThis as {GPUComputePassEncoder?: {prototype: {dispatchWorkgroups: (...sizes: number[]) => void}}}
  ).GPUComputePassEncoder?.prototype;
  const dispatch = encoder?.dispatchWorkgroups;
  if (encoder && dispatch) {
    encoder.dispatchWorkgroups = function (...sizes) {
      seen.dispatches++;
      dispatch.apply(this, sizes);
    };
  }
  try {
    await run();
  } finally {
    Reflect.deleteProperty(engine, 'runKernelFunc');
    if (encoder && dispatch) encoder.dispatchWorkgroups = dispatch;
  }
  return seen;
}
