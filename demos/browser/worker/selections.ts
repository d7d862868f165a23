import type {LayersModel} from '@tensorflow/tfjs-layers';
import {CELoRADense} from '../../../src/index.ts';
import type {LayerSelection} from '../protocol.ts';

export const adapted = (model: LayersModel): CELoRADense[] =>
  model.layers.filter((layer) => layer instanceof CELoRADense);

/** The share of Σ scores² that the kept columns have. */
function energyOf(scores: Float32Array, kept: Int32Array): number {
  const total = scores.reduce((sum, score) => sum + score ** 2, 0);
  return total === 0 ? 1 : kept.reduce((sum, column) => sum + scores[column]! ** 2, 0) / total;
}

async function read({name, gradient}: CELoRADense): Promise<LayerSelection | undefined> {
  const {indices, selectionScores} = gradient;
  if (!indices || !selectionScores) return undefined;
  const [kept, scores] = await Promise.all([indices.data(), selectionScores.data()]);
  // copies: on some backends these are the tensors' own
  const copies = {kept: Int32Array.from(kept), scores: Float32Array.from(scores)};
  return {layer: name, ...copies, energy: energyOf(copies.scores, copies.kept)};
}

/** Reads what layers have selected. To be called before the next backward pass, which may select anew. */
export async function readSelections(
  model: LayersModel,
  names: readonly string[],
): Promise<LayerSelection[]> {
  const layers = adapted(model).filter(({name}) => names.includes(name));
  return (await Promise.all(layers.map(read))).filter((selection) => selection !== undefined);
}
