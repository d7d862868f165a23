import * as tf from '@tensorflow/tfjs-core';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {EmbeddingLookup} from '../kernels/training_kernel_names.ts';
import {operandOf, type Weights, weightMatrix} from './half.ts';

/** The rows [N, d] of ids [N] that are all in range. */
function rowsOf(part: Weights, ids: tf.Tensor1D): tf.Tensor {
  const {tensor: table, half} = operandOf(part);
  return runKernel<tf.Tensor>(EmbeddingLookup, {table, ids}, {classes: table.shape[0]!, half});
}

/** The rows that this part of a table has, zeros for the ids of other parts. */
function rowsOfPart(part: Weights, start: number, rows: number, ids: tf.Tensor1D): tf.Tensor {
  const own = tf.sub(ids, tf.scalar(start, 'int32'));
  const inside = tf.logicalAnd(
    tf.greaterEqual(own, tf.scalar(0, 'int32')),
    tf.less(own, tf.scalar(rows, 'int32')),
  );
  const found = rowsOf(part, tf.mul(own, tf.cast(inside, 'int32')));
  return tf.mul(found, tf.cast(tf.expandDims(inside, 1), 'float32'));
}

/**
 * The rows of a table for token ids. Unlike that of `tf.gather`, its gradient runs on every backend: the rows of dy are
 * summed by id into [V, d]. A frozen table costs nothing in backward, and one at half precision is frozen.
 * @param table [V, d], float32 or at half precision; or parts of one, the rows of each following those before, for a table
 *   that is larger than a tensor may be (`largestTensor`).
 * @param ids int32 [...], each in [0, V). As with `tf.gather`, another one is an error on cpu and wasm, and its row
 *   is undefined on a GPU, where checking would read the ids back; of parts it is zeros.
 * @returns [..., d].
 * @throws Error for operands of the wrong rank or dtype, and for parts of different widths.
 */
export function embeddingLookup(table: Weights | readonly Weights[], ids: tf.Tensor): tf.Tensor {
  const op = 'embeddingLookup';
  registerGradients();
  const parts: readonly Weights[] = Array.isArray(table) ? table : [table as Weights];
  if (parts.length === 0) throw new Error(`${op}: table must have at least one part, but has none`);
  const [, size] = weightMatrix(op, 'table', parts[0]!);
  const counts = parts.map((part) => weightMatrix(op, 'table', part, [undefined, size])[0]);
  if (ids.dtype !== 'int32') throw new Error(`${op}: ids must be int32, but is ${ids.dtype}`);
  return tf.tidy(() => {
    const flat = tf.reshape(ids, [-1]) as tf.Tensor1D;
    let start = 0;
    const found = parts.map((part, i) => {
      if (parts.length === 1) return rowsOf(part, flat);
      const rows = rowsOfPart(part, start, counts[i]!, flat);
      start += counts[i]!;
      return rows;
    });
    return tf.reshape(
      found.reduce((sum, rows) => tf.add(sum, rows)),
      [...ids.shape, size],
    );
  });
}
