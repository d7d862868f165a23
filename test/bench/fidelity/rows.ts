import {type ApplyOptions, type Budget, type CELoRAConfig, paperConfig} from '../../../src/index.ts';
import type {Branches} from './branches.ts';
import type {Division} from './budgets.ts';
import type {Drawn} from './variants.ts';

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
  /** What the backward pass leaves out of the blocks; absent: nothing. */
  branches?: Branches;
  /** Another division of the columns than `budget`'s, which is then 'uniform'. */
  division?: Division;
  /** Columns that are drawn in the place of the best. */
  drawn?: Drawn;
  /** Rank of the subspace of dx that its last exact pass had, in the place of columns and of W's frozen factors. */
  projected?: number;
}

const PROJECTIONS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const EXACT: ApplyOptions = {target: PROJECTIONS, keep: 1, frozenRank: 0};
/** What a row has where it names nothing else, whatever the package's defaults are. */
const USUAL = {target: PROJECTIONS, frozenRank: 16, refreshEvery: 20, exactEvery: 0};

/** Of exact LoRA with so many rows in a batch. */
export const exactName = (batch: number | ''): string => `exact LoRA, batch ${batch}`;

/** The package's defaults. */
export const DEFAULT_ROW = 'calibrated 0.5, every third step exact';

const exact = (batch: number, name = exactName(batch), apply: ApplyOptions = {}): Row => ({
  name,
  batch,
  apply: {...EXACT, ...apply},
  budget: 'uniform',
});

const approximate = (name: string, budget: Budget, options: Partial<CELoRAConfig>): Row => ({
  name,
  batch: BATCH,
  apply: {...USUAL, ...options},
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

const thinned = (name: string, branches: Branches): Row => ({...exact(BATCH, name), branches});

/** Whether times say something of a configuration: those that only this comparison has are made of plain operations. */
export const isTimed = ({drawn, projected}: Row): boolean => drawn === undefined && projected === undefined;

/** Every configuration of the comparison, in the order of what they tell. */
export function fidelityRows(numLayers: number): Row[] {
  const THIRD = 1 / 3;
  const r64 = {keep: 0.25, frozenRank: 64};
  return [
    exact(BATCH),
    approximate('calibrated 0.5', 'calibrated', {keep: 0.5}),
    approximate('calibrated 0.25', 'calibrated', {keep: 0.25}),
    approximate('uniform 0.5', 'uniform', {keep: 0.5}),
    approximate('uniform 0.25', 'uniform', {keep: 0.25}),
    ...[14, 12, 10, 8, 4].map((batch) => exact(batch)),
    approximate('calibrated 0.25, r0 64, first third exact', 'calibrated', {...r64, exactSteps: THIRD}),
    approximate('calibrated 0.25, every third step exact', 'calibrated', {keep: 0.25, exactEvery: 3}),
    approximate('calibrated 0.25, r0 64, every third step exact', 'calibrated', {...r64, exactEvery: 3}),
    approximate(DEFAULT_ROW, 'calibrated', {keep: 0.5, exactEvery: 3}),
    approximate('calibrated 0.25, refresh 3, every third step exact', 'calibrated', {
      ...{keep: 0.25, exactEvery: 3, refreshEvery: 3},
    }),
    approximate('calibrated 0.25, every second step exact', 'calibrated', {keep: 0.25, exactEvery: 2}),
    approximate('calibrated 0.1, every third step exact', 'calibrated', {keep: 0.1, exactEvery: 3}),
    approximate('rows 0.25, every third step exact', 'uniform', {keep: 0.25, axis: 'rows', exactEvery: 3}),
    approximate('uniform 0.25, every third step exact', 'uniform', {keep: 0.25, exactEvery: 3}),
    thinned('tokens of MLPs 0.5', {by: 'tokens', keep: 0.5}),
    thinned('tokens of MLPs 0.25', {by: 'tokens', keep: 0.25}),
    approximate('rows 0.5', 'uniform', {keep: 0.5, axis: 'rows'}),
    approximate('calibrated 0.5, r0 64', 'calibrated', {keep: 0.5, frozenRank: 64}),
    approximate('calibrated 0.25, r0 64', 'calibrated', r64),
    {...approximate('by share 0.25', 'uniform', {keep: 0.25}), division: 'share'},
    {...approximate('by share and depth 0.25', 'uniform', {keep: 0.25}), division: 'depth'},
    {...approximate('by share and depth 0.5', 'uniform', {keep: 0.5}), division: 'depth'},
    ...[64, 128].map((rank) => ({
      ...approximate(`projected to ${rank}`, 'uniform', {keep: 0.25}),
      projected: rank,
    })),
    {...approximate('half drawn 0.25', 'uniform', {keep: 0.25}), drawn: {share: 0.5, scale: 1.5}},
    {...approximate('all drawn 0.25', 'uniform', {keep: 0.25}), drawn: {share: 1, scale: 2}},
    approximate('calibrated 0.25, refresh 5', 'calibrated', {keep: 0.25, refreshEvery: 5}),
    approximate('calibrated 0.25, score gradient', 'calibrated', {keep: 0.25, score: 'gradient'}),
    approximate('calibrated 0.25, first third exact', 'calibrated', {keep: 0.25, exactSteps: THIRD}),
    approximate('calibrated 0.5, first tenth exact', 'calibrated', {keep: 0.5, exactSteps: 0.1}),
    exact(BATCH, 'exact LoRA, top half of the layers', {target: topHalf(numLayers)}),
    thinned('DropBP 0.5', {by: 'drop', keep: 0.5}),
    paper('product'),
    paper('weight'),
    {...exact(BATCH, 'exact LoRA, head keep 0.25'), head: {keep: 0.25, exactEvery: 0}},
    approximate('rows 0.25', 'uniform', {keep: 0.25, axis: 'rows'}),
    approximate('uniform 0.25, r0 0', 'uniform', {keep: 0.25, frozenRank: 0}),
    approximate('uniform 0.25, r0 64', 'uniform', r64),
  ];
}
