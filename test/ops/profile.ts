import * as tf from '@tensorflow/tfjs-core';
import type {Backend} from '../backends.ts';

/** How often each kernel runs in `run`; not on WebGPU, where the profiler cannot read results. */
export async function workOf(run: () => unknown): Promise<Record<string, number>> {
  const {kernels} = await tf.profile(() => tf.tidy(() => run() as tf.TensorContainer));
  const counts: Record<string, number> = {};
  for (const {name} of kernels) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/**
 * On webgpu, tensors of less than 128 elements that the CPU holds are not computed there: that is not what is to be
 * tested, and tfjs's gatherND leaks then.
 */
export function onDevice(backend: Backend): void {
  if (backend !== 'webgpu') return;
  before(() => tf.env().set('WEBGPU_CPU_FORWARD', false));
  after(() => tf.env().set('WEBGPU_CPU_FORWARD', true));
}
