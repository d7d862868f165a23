import type {Budget, CELoRAConfig} from '../../src/index.ts';

/** What a fine-tuning run is told; the same names as in the package. */
export interface Settings
  extends Pick<
    CELoRAConfig,
    'rank' | 'alpha' | 'keep' | 'frozenRank' | 'refreshEvery' | 'exactSteps' | 'seed'
  > {
  budget: Budget;
  /** A regular expression on the names of layers. */
  target: string;
  learningRate: number;
  batch: number;
  seq: number;
  steps: number;
  /** Whether exact LoRA is trained on the same batches afterwards. */
  compare: boolean;
}

export const DEFAULT_SETTINGS: Readonly<Settings> = {
  rank: 16,
  alpha: 32,
  keep: 0.5,
  budget: 'calibrated',
  frozenRank: 16,
  refreshEvery: 20,
  exactSteps: 0,
  target: '(q|k|v|o|gate|up|down)_proj$',
  learningRate: 1e-3,
  batch: 4,
  seq: 128,
  steps: 100,
  seed: 0,
  compare: true,
};
