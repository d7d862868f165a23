import * as tf from '@tensorflow/tfjs-core';
import {product} from '../../ops/product.ts';
import type {PackColumnsAttrs, PackColumnsInputs} from '../kernel_names.ts';

/** R[:,I]ᵀ = W[:,I]ᵀ − B₀[:,I]ᵀ A₀ᵀ, [k, in]: the residual itself is never stored. */
export function packColumns(
  {kernel, indices, frozenA, frozenB}: PackColumnsInputs,
  attrs: PackColumnsAttrs,
): tf.Tensor {
  const rows = indices as tf.Tensor1D;
  const columns = attrs.transposed ? tf.gather(kernel, rows) : tf.transpose(tf.gather(kernel, rows, 1));
  if (!frozenA || !frozenB) return columns;
  const low = product(tf.gather(frozenB, rows, 1), frozenA, true, true);
  return tf.sub(columns, low);
}
