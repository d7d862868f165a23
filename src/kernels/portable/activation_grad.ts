import * as tf from '@tensorflow/tfjs-core';
import {product} from '../../ops/product.ts';
import type {
  ActivationGradAttrs,
  ActivationGradInputs,
  AdapterTerm,
  ApproxActivationGradAttrs,
  ApproxActivationGradInputs,
  SampledActivationGradInputs,
} from '../kernel_names.ts';
import {floatsOf} from './half.ts';

function withAdapter(dx: tf.Tensor, {loraA, loraDy}: AdapterTerm): tf.Tensor {
  return loraA && loraDy ? tf.add(dx, product(loraDy, loraA, false, true)) : dx;
}

export function activationGrad(inputs: ActivationGradInputs, attrs: ActivationGradAttrs): tf.Tensor {
  return withAdapter(product(inputs.dy, floatsOf(inputs.kernel, attrs), false, !attrs.transposed), inputs);
}

export function approxActivationGrad(
  inputs: ApproxActivationGradInputs,
  attrs: ApproxActivationGradAttrs,
): tf.Tensor {
  const {dy, indices, packed, frozenA, frozenB, loraA, loraDy} = inputs;
  const kept = product(tf.gather(dy, indices as tf.Tensor1D, 1), floatsOf(packed, attrs));
  if (!frozenA || !frozenB) return withAdapter(kept, inputs);
  const frozenDy = product(dy, frozenB, false, true);
  // both low-rank terms are one product over r₀ + r
  const adapted = loraA && loraDy;
  const low = adapted ? tf.concat([frozenDy, loraDy], 1) : frozenDy;
  const basis = adapted ? tf.concat([frozenA, loraA], 1) : frozenA;
  return tf.add(kept, product(low, basis, false, true));
}

export function sampledActivationGrad(
  inputs: SampledActivationGradInputs,
  attrs: ActivationGradAttrs,
): tf.Tensor {
  const {dy, kernel, indices, weights} = inputs;
  const rows = tf.mul(tf.gather(dy, indices as tf.Tensor1D), tf.expandDims(weights, 1));
  const dx = product(rows, floatsOf(kernel, attrs), false, !attrs.transposed);
  const scattered = tf.scatterND(tf.expandDims(indices, 1), dx, [dy.shape[0]!, dx.shape[1]]);
  return withAdapter(scattered, inputs);
}
