import * as tf from '@tensorflow/tfjs-core';
import {registerPortableKernels} from './portable/register.ts';
import {registerWebGPUKernels} from './webgpu/register.ts';

/**
 * Runs one of our kernels on the current backend. A backend that has no kernel of its own under that name gets the
 * portable one at first use, whatever its name.
 */
export function runKernel<T extends tf.Tensor | tf.Tensor[]>(
  name: string,
  inputs: object,
  attrs: object = {},
): T {
  const backend = tf.getBackend();
  if (tf.getKernel(name, backend) == null) {
    if (backend === 'webgpu') registerWebGPUKernels();
    else registerPortableKernels(backend);
  }
  // absent optional inputs are left out: tfjs's tape trips over undefined ones
  const present = Array.isArray(inputs)
    ? inputs
    : Object.fromEntries(Object.entries(inputs).filter(([, tensor]) => tensor !== undefined));
  return tf.engine().runKernel(name, present as tf.NamedTensorMap, attrs as tf.NamedAttrMap) as T;
}
