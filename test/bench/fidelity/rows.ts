import {type ApplyOptions, type Budget, type CELoRAConfig, paperConfig} from '../../../src/index.ts';

/** Rows of a batch in the protocol; fewer are exact LoRA at the same number of multiply-adds. */
export const BATCH = 16;

/** One configuration that is trained. */
export interface Row {
  name: string;
  batch: number;
  apply: ApplyOptions;
  budget: Budget;
  /** Options of the head's own activation gradient; absent: exact. */
  head?: Partial<CELoRAConfig>;
}

const PROJECTIONS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const EXACT: ApplyOptions = {target: PROJECTIONS, keep: 1, frozenRank: 0};

/** Of exact LoRA with so many rows in a batch. */
export const exactName = (batch: number | ''): string => `exact LoRA, batch ${batch}`;

const exact = (batch: number, name = exactName(batch), apply: ApplyOptions = {}): Row => ({
  name,
  batch,
  apply: {...EXACT, ...apply},
  budget: 'uniform',
});

const approximate = (name: string, budget: Budget, options: Partial<CELoRAConfig>): Row => ({
  name,
  batch: BATCH,
  apply: {target: PROJECTIONS, ...options},
  budget,
});

const paper = (score: 'product' | 'weight'): Row => ({
  name: `paper, score ${score}`,
  batch: BATCH,
  // of a run of 300 steps two thirds would be exact
  apply: {...paperConfig({score}), exactSteps: 0},
  budget: 'uniform',
});

/** Layers of the upper half of a model alone. */
const topHalf =
  (numLayers: number): Extract<ApplyOptions['target'], (...args: never[]) => unknown> =>
  ({name}) => {
    const [, layer, projection] = /layers\.(\d+)\..*?(\w+_proj)$/.exec(name) ?? [];
    return projection !== undefined && PROJECTIONS.includes(projection) && Number(layer) >= numLayers / 2;
  };

/** Every configuration of the comparison that this package can express, exact LoRA first. */
export function fidelityRows(numLayers: number): Row[] {
  const THIRD = 1 / 3;
  return [
    exact(BATCH),
    ...[12, 10, 8, 4].map((batch) => exact(batch)),
    exact(BATCH, 'exact LoRA, top half of the layers', {target: topHalf(numLayers)}),
    ...[0.5, 0.25].flatMap((keep) => [
      approximate(`uniform ${keep}`, 'uniform', {keep}),
      approximate(`calibrated ${keep}`, 'calibrated', {keep}),
      approximate(`calibrated ${keep}, r0 64`, 'calibrated', {keep, frozenRank: 64}),
      approximate(`rows ${keep}`, 'uniform', {keep, axis: 'rows'}),
    ]),
    approximate('uniform 0.25, r0 0', 'uniform', {keep: 0.25, frozenRank: 0}),
    approximate('uniform 0.25, r0 64', 'uniform', {keep: 0.25, frozenRank: 64}),
    approximate('calibrated 0.5, first tenth exact', 'calibrated', {keep: 0.5, exactSteps: 0.1}),
    approximate('calibrated 0.25, first third exact', 'calibrated', {keep: 0.25, exactSteps: THIRD}),
    approximate('calibrated 0.25, r0 64, first third exact', 'calibrated', {
      keep: 0.25,
      frozenRank: 64,
      exactSteps: THIRD,
    }),
    paper('product'),
    paper('weight'),
    {...exact(BATCH, 'exact LoRA, head keep 0.25'), head: {keep: 0.25}},
  ];
}
