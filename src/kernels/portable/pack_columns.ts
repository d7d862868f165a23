import * as tf from '@tensorflow/tfjs-core';
import {product} from '../../ops/product.ts';
import {type PackColumnsAttrs, type PackColumnsInputs, PackHalf} from '../kernel_names.ts';
import {floatsOf} from './half.ts';

/** R[:,I]ᵀ = W[:,I]ᵀ − B₀[:,I]ᵀ A₀ᵀ, [k, in]: the residual itself is never stored. */
export function packColumns(
  {kernel, indices, frozenA, frozenB}: PackColumnsInputs,
  attrs: PackColumnsAttrs,
): tf.Tensor {
  const rows = indices as tf.Tensor1D;
  const w = floatsOf(kernel, attrs);
  let columns = attrs.transposed ? tf.gather(w, rows) : tf.transpose(tf.gather(w, rows, 1));
  if (frozenA && frozenB) {
    columns = tf.sub(columns, product(tf.gather(frozenB, rows, 1), frozenA, true, true));
  }
  if (!attrs.half) return columns;
  return tf.engine().runKernel(PackHalf, {x: columns}, {format: attrs.half.format});
}
