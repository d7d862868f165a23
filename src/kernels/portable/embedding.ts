import * as tf from '@tensorflow/tfjs-core';
import type {
  EmbeddingGradInputs,
  EmbeddingLookupAttrs,
  EmbeddingLookupInputs,
} from '../training_kernel_names.ts';
import {floatsOf} from './half.ts';

export function embeddingLookup({table, ids}: EmbeddingLookupInputs, attrs: EmbeddingLookupAttrs): tf.Tensor {
  return floatsOf(tf.gather(table, ids as tf.Tensor1D), attrs);
}

/** scatterND sums duplicates on every backend; gather's own gradient needs a kernel that wasm lacks. */
export function embeddingGrad({dy, ids}: EmbeddingGradInputs, {classes}: EmbeddingLookupAttrs): tf.Tensor {
  return tf.scatterND(tf.expandDims(ids, 1), dy, [classes, dy.shape[1]!]);
}
