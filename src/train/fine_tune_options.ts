import type {LayersModel} from '@tensorflow/tfjs-layers';
import {show} from '../config.ts';
import {count} from '../ops/check.ts';
import type {AdamWOptions} from './adamw.ts';
import type {BatchSource} from './batches.ts';
import type {CheckpointStore} from './checkpoint_store.ts';
import type {BatchLoss} from './loss.ts';
import type {Schedule} from './schedule.ts';
import type {Evaluation} from './training_state.ts';

/** What happens during a run; `step` is the number of steps done. */
export type TrainingEvent =
  /** The loss of a step is known, one step later. */
  | {type: 'step'; step: number; loss: number; learningRate: number}
  /** The held-out loss; `best`: the lowest so far. */
  | {type: 'eval'; step: number; loss: number; best: boolean}
  /** These layers selected columns anew in the backward pass of the step. */
  | {type: 'refresh'; step: number; layers: string[]}
  /** The run was saved under this name. */
  | {type: 'checkpoint'; step: number; name: string}
  /** The run goes on from what was saved under this name; `losses`: of the steps before. */
  | {type: 'resume'; step: number; name: string; losses: readonly number[]};

export interface EvaluationPlan<B extends object> {
  /** The held-out data, one pass of which is an evaluation. */
  data: BatchSource<B>;
  /** Steps from one evaluation to the next, ≥ 1; there is one at the end too. */
  every: number;
  /** The run ends after so many evaluations without a new lowest loss, ≥ 1. Default: it does not. */
  patience?: number | undefined;
  /** Whether the model ends with the weights of the lowest held-out loss, not the last ones. Default true. */
  keepBest?: boolean;
}

export interface CheckpointPlan {
  store: CheckpointStore;
  /** Steps from one checkpoint to the next, ≥ 1; there is one at the end too, and when the run is aborted. Default 100. */
  every?: number | undefined;
  /** Whether the run goes on from the store's last checkpoint; where there is none it begins. Default false. */
  resume?: boolean | undefined;
}

const BUDGETS = ['uniform', 'calibrated'] as const;

/** How the kept columns are divided among layers. */
export type Budget = (typeof BUDGETS)[number];

export interface FineTuneOptions<B extends object> {
  /** What is trainable in it is trained: after `applyCELoRA`, the adapters. */
  model: LayersModel;
  /** The training data. */
  data: BatchSource<B>;
  /** Of a batch; `languageModelLoss(model)` for token batches. */
  loss: BatchLoss<B>;
  /** Steps of the optimizer, ≥ 1. */
  steps: number;
  /** A number for every step, or a schedule, such as `cosineSchedule(1e-3, {warmUp: 0.05})`. */
  learningRate: number | Schedule;
  /** Options of `AdamW`. Defaults other than its own: weightDecay 0, clipNorm 1; clipNorm Infinity clips nothing. */
  optimizer?: AdamWOptions;
  /**
   * Batches in a step, ≥ 1: their gradients are added up, so that the step is that of one large batch in the memory of a
   * small one. What layers count as backward passes (`refreshEvery`, `exactSteps`, `exactEvery`) are batches: with
   * `exactEvery` no more than this, every step rests on some exact gradients. Default 1.
   */
  accumulate?: number | undefined;
  /**
   * n: of every n-th transformer block the backward pass computes the activations again instead of keeping them, ≥ 1; it
   * changes no value. Blocks are told by their layers' names: `model.layers.0.…`, `h.0.…`, `block_0/…`. Default: none.
   */
  checkpointLayers?: number | undefined;
  /**
   * 'calibrated': before the first step the kept columns are divided anew among the layers, at the same cost, by their
   * scores on the first batch (`calibrateCELoRA`); a run that is resumed goes on with its own division, whatever `keep` says.
   * 'uniform': every layer keeps what its `keep` says. Default 'calibrated'.
   */
  budget?: Budget | undefined;
  evaluation?: EvaluationPlan<B> | undefined;
  checkpoints?: CheckpointPlan | undefined;
  /** Aborted: the run ends after the step under way, and is saved if there is a store. */
  signal?: AbortSignal | undefined;
  /** Called with everything that happens. An error thrown here ends the run. */
  onEvent?: ((event: TrainingEvent) => void) | undefined;
}

export interface FineTuneResult {
  /** Why the run ended: all steps are done, `patience` is at an end, or the signal was aborted. */
  reason: 'steps' | 'patience' | 'aborted';
  /** The training loss of every step, those before a resumption included. */
  losses: number[];
  evaluations: Evaluation[];
  /** The evaluation with the lowest loss, if there was one. */
  best: Evaluation | undefined;
  /** Seconds of training, evaluations and checkpoints included, over all parts of the run. */
  seconds: number;
}

/** The loss, or a weight, is no number any more. */
export class NonFiniteLossError extends Error {
  override name = 'NonFiniteLossError';
  /** The step whose loss it is, counted from 1. */
  readonly step: number;

  constructor(what: string, step: number, learningRate: number, checkpoint: string | undefined) {
    const saved = checkpoint === undefined ? '' : `; the last checkpoint is ${checkpoint}`;
    super(
      `fineTune: ${what} at step ${step}, learning rate ${learningRate}: try a lower rate, or a longer warm-up; the ` +
        `model has the last weights whose loss was a number${saved}`,
    );
    this.step = step;
  }
}

/** @throws Error naming the option and the value. */
export function checkFineTune<B extends object>(options: FineTuneOptions<B>): void {
  const owner = 'fineTune';
  const {steps, accumulate = 1, checkpointLayers = 1, learningRate, evaluation, checkpoints} = options;
  count(owner, 'steps', steps);
  count(owner, 'accumulate', accumulate);
  count(owner, 'checkpointLayers', checkpointLayers);
  if (typeof learningRate !== 'function' && !(learningRate >= 0 && Number.isFinite(learningRate))) {
    throw new Error(
      `${owner}: learningRate must be a number ≥ 0 or a schedule, but is ${show(learningRate)}`,
    );
  }
  const {budget = 'calibrated'} = options;
  if (!BUDGETS.includes(budget)) {
    throw new Error(
      `${owner}: budget must be one of ${BUDGETS.map(show).join(', ')}, but is ${show(budget)}`,
    );
  }
  if (evaluation) {
    count(owner, 'evaluation.every', evaluation.every);
    count(owner, 'evaluation.patience', evaluation.patience ?? 1);
  }
  if (checkpoints) count(owner, 'checkpoints.every', checkpoints.every ?? 1);
}
