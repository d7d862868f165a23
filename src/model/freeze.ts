import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import {CELoRADense} from '../layers/celora_dense.ts';
import {type Layer, layerTree} from './layer_tree.ts';

/** The trainable flags of a model's layers and weights, in the order in which they can be set. */
export type TrainableFlags = Map<Layer | LayerVariable, boolean>;

export function trainableFlags(model: LayersModel): TrainableFlags {
  const {containers, wrappers, leaves} = layerTree(model);
  const weights = [...wrappers, ...leaves].flatMap((layer) => layer.weights);
  // containers first: setting theirs sets the flag of every weight inside
  return new Map([...containers, ...wrappers, ...leaves, ...weights].map((one) => [one, one.trainable]));
}

export function setTrainable(flags: TrainableFlags): void {
  for (const [one, trainable] of flags) one.trainable = trainable;
}

/** Flags as they were before the first conversion that a layer or weight was part of, in whichever model. */
const before = new WeakMap<Layer | LayerVariable, boolean>();

export function rememberTrainable(flags: TrainableFlags): void {
  for (const [one, trainable] of flags) if (!before.has(one)) before.set(one, trainable);
}

/** Sets the flags that are remembered of a model, and forgets them. */
export function recallTrainable(model: LayersModel): void {
  const flags = trainableFlags(model);
  for (const [one, now] of flags) {
    flags.set(one, before.get(one) ?? now);
    before.delete(one);
  }
  setTrainable(flags);
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
