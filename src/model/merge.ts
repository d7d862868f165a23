import type {LayersModel} from '@tensorflow/tfjs-layers';
import {requireBoolean} from '../config.ts';
import {adaptedLayers, isHalfDense, restoreLayers} from './convert.ts';

/**
 * Adds the active adapter into the kernels and puts stock Dense layers back in place, with the trainable flags as they
 * were before `applyCELoRA`: the model saves and loads without this package. Other adapters are dropped. Kernels at half
 * precision become float32 first, so that the sum is not rounded. Compile it again before training.
 * @throws Error if the model has no CELoRADense layer.
 */
export function mergeCELoRA(model: LayersModel): void {
  const layers = adaptedLayers(model, 'mergeCELoRA');
  for (const layer of layers) {
    layer.widenBase();
    layer.merge();
  }
  restoreLayers(model, layers, true);
}

/**
 * Drops every adapter and puts the layers before back in place, their kernels as they were bit for bit; those that
 * `applyCELoRA` took to half precision are float32 again, and keep the values that they were rounded to.
 * @throws Error if the model has no CELoRADense layer.
 */
export function removeCELoRA(model: LayersModel): void {
  const layers = adaptedLayers(model, 'removeCELoRA').filter((layer) => !isHalfDense(layer));
  for (const layer of layers) layer.unmerge();
  restoreLayers(model, layers, false);
}

/**
 * Switches the adapters on or off, whichever is active; off, the model computes what its base does.
 * @throws Error if the model has no CELoRADense layer, or if an adapter to be switched off is merged.
 */
export function setAdapterEnabled(model: LayersModel, enabled: boolean): void {
  requireBoolean('setAdapterEnabled', 'enabled', enabled);
  const layers = adaptedLayers(model, 'setAdapterEnabled');
  const merged = layers.find((layer) => layer.merged);
  if (merged && !enabled) {
    throw new Error(`setAdapterEnabled: the adapter of ${merged.name} is merged; call its unmerge() first`);
  }
  for (const layer of layers) layer.adapterEnabled = enabled;
}
