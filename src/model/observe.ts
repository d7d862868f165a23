import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import type {ObservedPass} from '../gradients/activation_gradient.ts';
import type {CELoRADense} from '../layers/celora_dense.ts';
import {adaptedLayers} from './convert.ts';

/**
 * One exact backward pass of a loss through a model, in which its CELoRADense layers show what dx is computed from. A layer
 * whose input leads to nothing trainable computes no dx, and shows nothing; one that is used twice shows two passes.
 * @param loss The mean loss of one batch.
 * @param see Called inside the backward pass: what it makes and does not `tf.keep` is freed, and nothing can be read.
 */
export function observeBackward(
  model: LayersModel,
  loss: () => tf.Scalar,
  caller: string,
  see: (layer: CELoRADense, pass: ObservedPass) => void,
): void {
  const layers = adaptedLayers(model, caller);
  const variables = [...new Set(model.trainableWeights.map((weight) => weight.read() as tf.Variable))];
  if (variables.length === 0) throw new Error(`${caller}: nothing in model ${model.name} is trainable`);
  for (const layer of layers) layer.gradient.observer = (pass) => see(layer, pass);
  try {
    const {value, grads} = tf.variableGrads(loss, variables);
    tf.dispose([value, grads]);
  } finally {
    for (const layer of layers) layer.gradient.observer = undefined;
  }
}
