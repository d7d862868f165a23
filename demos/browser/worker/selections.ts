import type {LayersModel} from '@tensorflow/tfjs-layers';
import {CELoRADense} from '../../../src/index.ts';
import type {LayerSelection} from '../protocol.ts';

export const adapted = (model: LayersModel): CELoRADense[] =>
  model.layers.filter((layer) => layer instanceof CELoRADense);

/** Reads what layers have selected. To be called before the next backward pass, which may select anew. */
export async function readSelections(
  model: LayersModel,
  names: readonly string[],
): Promise<LayerSelection[]> {
  const layers = adapted(model).filter(({name}) => names.includes(name));
  return await Promise.all(
    layers.map(async ({name, units, gradient}) => ({
      layer: name,
      units,
      kept: Int32Array.from((await gradient.indices?.data()) ?? []),
    })),
  );
}
