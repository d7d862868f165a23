import type * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {keptColumns} from '../../../src/config.ts';
import {type ScoredLayer, scoreColumns} from '../../../src/model/budget.ts';

/**
 * Another division than `calibrateCELoRA`'s: the columns that hold most for what they cost are kept, whatever their layer.
 * 'share': what a column holds is its share of its layer's squared scores. 'depth': that times the blocks that the layer's dx
 * goes on through.
 */
export type Division = 'share' | 'depth';

const blockOf = ({layer}: ScoredLayer) => Number(/layers\.(\d+)\./.exec(layer.name)?.[1] ?? 0);

/** Columns of each layer, at the same cost as now but for rounding. */
export function divideByShare(layers: readonly ScoredLayer[], division: Division): number[] {
  const budget = layers.reduce((sum, {kept, columnCost}) => sum + kept * columnCost, 0);
  const columns = layers.flatMap((layer, i) => {
    const total = Array.from(layer.energies).reduce((a, b) => a + b, 0);
    const weight = division === 'depth' ? blockOf(layer) + 1 : 1;
    const worth = weight / (total || 1) / layer.columnCost;
    return Array.from(layer.energies, (energy) => ({i, worth: worth * energy}));
  });
  const counts = layers.map(() => 0);
  let spent = 0;
  for (const {i} of columns.toSorted((a, b) => b.worth - a.worth)) {
    spent += layers[i]!.columnCost;
    if (spent > budget) break;
    counts[i]!++;
  }
  return counts.map((count, i) => keptColumns(count / layers[i]!.layer.units, layers[i]!.layer.units));
}

/** Sets the layers' `keep` from the scores of one batch. */
export async function divideBy(division: Division, model: LayersModel, loss: () => tf.Scalar): Promise<void> {
  const scored = await scoreColumns(model, loss, 'divideBy');
  const kept = divideByShare(scored, division);
  for (const [i, {layer}] of scored.entries()) layer.setKeep(Math.min(1, kept[i]! / layer.units));
}
