import type * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../kernels/register.ts';
import {RotaryEmbedding, type RotaryEmbeddingAttrs} from '../kernels/transformer_kernel_names.ts';

/** The rotation back. */
export const rotaryEmbeddingGradConfig: tf.GradConfig = {
  kernelName: RotaryEmbedding,
  inputsToSave: ['cos', 'sin'],
  gradFunc: (dy, [cos, sin], namedAttrs) => {
    const {pairing, inverse} = namedAttrs as unknown as RotaryEmbeddingAttrs;
    const attrs = {pairing, inverse: !inverse};
    return {x: () => runKernel<tf.Tensor>(RotaryEmbedding, {x: dy, cos, sin}, attrs)};
  },
};
