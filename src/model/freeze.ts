import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import {CELoRADense} from '../layers/celora_dense.ts';
import {type Layer, layerTree} from './layer_tree.ts';

/** The trainable flags of a model as they were, and how to set them again. */
export interface TrainableFlags {
  restore(): void;
}

export function rememberTrainable(model: LayersModel): TrainableFlags {
  const {containers, wrappers, leaves} = layerTree(model);
  // containers first: setting theirs sets the flag of every weight inside
  const flags = [...containers, ...wrappers, ...leaves].map((layer): [Layer, boolean] => [
    layer,
    layer.trainable,
  ]);
  const variables = [...wrappers, ...leaves].flatMap((layer) =>
    layer.weights.map((v): [LayerVariable, boolean] => [v, v.trainable]),
  );
  return {
    restore() {
      for (const [layer, trainable] of flags) layer.trainable = trainable;
      for (const [variable, trainable] of variables) variable.trainable = trainable;
    },
  };
}

/**
 * Freezes everything but the adapters: the base of every CELoRADense without `trainBase`, all other layers, and the
 * moving statistics of BatchNormalization, which tfjs goes on updating in a frozen layer. `applyCELoRA` does this;
 * call it after loading a saved converted model that has BatchNormalization, since no file holds the last of these.
 */
export function freezeBase(model: LayersModel): void {
  const {containers, wrappers, leaves} = layerTree(model);
  for (const container of containers) container.trainable = true;
  // Bidirectional runs copies of the layer that it wraps; what others wrap is among the leaves
  for (const wrapper of wrappers) wrapper.trainable = false;
  for (const layer of leaves) {
    layer.trainable = layer instanceof CELoRADense;
    freezeStatistics(layer);
  }
}

function freezeStatistics(layer: Layer): void {
  if (layer.getClassName() !== 'BatchNormalization' || Object.hasOwn(layer, 'call')) return;
  const {call} = layer;
  layer.call = (inputs, kwargs) => call.call(layer, inputs, {...kwargs, training: false});
}

/** Lets the statistics of every BatchNormalization move again. */
export function thawStatistics(model: LayersModel): void {
  for (const layer of layerTree(model).leaves) {
    // the class's own method comes to light again
    if (layer.getClassName() === 'BatchNormalization') Reflect.deleteProperty(layer, 'call');
  }
}
