import * as tf from '@tensorflow/tfjs-core';
import {portableKernel} from './portable/register.ts';

/** A kernel of our own; what it makes in between it frees. `never` stands for its inputs and attributes, each its own. */
export type OwnKernel<B extends tf.KernelBackend> = (
  backend: B,
  inputs: never,
  attrs: never,
) => tf.TensorInfo | tf.TensorInfo[];

/** No kernel of ours can be given a buffer without a number. */
const hasEmpty = (inputs: tf.NamedTensorInfoMap) =>
  Object.values(inputs).some((input) => input!.shape.includes(0));

/**
 * Registers a backend's own kernels, in place of any under their names. The portable ones serve while `isOn` says no, or
 * says it of these attributes, and where an input is empty.
 */
export function registerOwnKernels<B extends tf.KernelBackend>(
  backendName: string,
  kernels: Readonly<Record<string, OwnKernel<B>>>,
  isOn: (attrs: object) => boolean,
): void {
  for (const [kernelName, kernel] of Object.entries(kernels)) {
    if (tf.getKernel(kernelName, backendName) != null) tf.unregisterKernel(kernelName, backendName);
    const portable = portableKernel(kernelName);
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: (args) =>
        isOn(args.attrs ?? {}) && !hasEmpty(args.inputs)
          ? kernel(args.backend as B, args.inputs as never, args.attrs as never)
          : portable(args),
    });
  }
}
