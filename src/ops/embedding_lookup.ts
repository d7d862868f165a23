import * as tf from '@tensorflow/tfjs-core';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {EmbeddingLookup} from '../kernels/training_kernel_names.ts';
import {matrix} from './check.ts';

/**
 * The rows of a table for token ids. Unlike that of `tf.gather`, its gradient runs on every backend: the rows of dy are
 * summed by id into [V, d]. A frozen table costs nothing in backward.
 * @param table [V, d], float32.
 * @param ids int32 [...], each in [0, V). As with `tf.gather`, another one is an error on cpu and wasm, and its row
 *   is undefined on a GPU, where checking would read the ids back.
 * @returns [..., d].
 * @throws Error for operands of the wrong rank or dtype.
 */
export function embeddingLookup(table: tf.Tensor, ids: tf.Tensor): tf.Tensor {
  const op = 'embeddingLookup';
  registerGradients();
  const [classes, size] = matrix(op, 'table', table);
  if (ids.dtype !== 'int32') throw new Error(`${op}: ids must be int32, but is ${ids.dtype}`);
  return tf.tidy(() => {
    const rows = runKernel<tf.Tensor>(EmbeddingLookup, {table, ids: tf.reshape(ids, [-1])}, {classes});
    return tf.reshape(rows, [...ids.shape, size]);
  });
}
