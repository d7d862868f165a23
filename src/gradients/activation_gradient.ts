import * as tf from '@tensorflow/tfjs-core';
import {type CELoRAConfig, resolveConfig} from '../config.ts';
import type {AdapterTerm} from '../kernels/kernel_names.ts';
import {
  activationGrad,
  approxActivationGrad,
  packColumns,
  sampledActivationGrad,
} from '../ops/activation_grad.ts';
import {factorize} from '../ops/factorize.ts';
import {floatsOf, shapeOf, type Weights} from '../ops/half.ts';
import {columnScores, sampleRows, selectColumns} from '../ops/select_columns.ts';
import {type RandomStream, randomStream} from '../random.ts';
import {disposeAll, keepAll} from './kept_tensors.ts';
import {type Plan, planActivationGrad} from './plan.ts';

/** What depends on the kernel's values alone. */
interface Residual {
  frozenA?: tf.Tensor;
  frozenB?: tf.Tensor;
  /** ‖R_i‖ [out]. */
  norms: tf.Tensor;
}

/** What depends on the last selection. */
interface Selection {
  indices: tf.Tensor1D;
  /** By which they were selected; not known of a selection that was restored. */
  scores?: tf.Tensor1D;
  /** Made when it is needed; none for a trainable kernel, whose columns are gathered afresh: a copy would be stale. */
  packed?: Weights;
  /** The backward pass that made it. */
  madeAt: number;
}

/** Counts of one product's backward passes. */
export interface ActivationGradientStats {
  backwardPasses: number;
  exactPasses: number;
  refreshes: number;
  /** Columns (or rows) kept in the last approximated pass; 0 before the first. */
  kept: number;
  /** Multiply-adds of the exact activation gradients, summed over the passes, and those saved by approximating. */
  multiplyAdds: number;
  savedMultiplyAdds: number;
}

/** All that another ActivationGradient of the same product and options needs to go on as this one would. */
export interface ActivationGradientState {
  stats: ActivationGradientStats;
  /** Where the random numbers are that sample rows. */
  random: number;
  /** The selected columns, and the backward pass that selected them; absent before the first selection. */
  selection?: {indices: Int32Array; madeAt: number};
}

/** What the dx of one backward pass is computed from. */
export interface ObservedPass {
  /** [N, out]. */
  dy: tf.Tensor2D;
  kernel: Weights;
  /** What identifies the values of a frozen kernel; undefined for a trainable one. */
  frozenData: object | undefined;
  adapter: AdapterTerm;
}

/**
 * The activation gradient of one product y = xW and the state that approximating it needs: factors A₀ and B₀, norms
 * of the residual, selected indices, packed columns, counters. The state is derived, never saved and never a weight;
 * it is rebuilt when the kernel's data or the backend changes, and freed by `dispose`.
 */
export class ActivationGradient {
  config: Readonly<CELoRAConfig>;
  /** The kernel is Wᵀ [out, in]: y = x · kernelᵀ. */
  readonly transposed: boolean;
  /** Whether dx is exact for the time being, whatever the config says. */
  exact = false;
  /** While there is one it is shown every pass, from inside the backward pass; dx is exact then, and nothing is counted. */
  observer: ((pass: ObservedPass) => void) | undefined;
  private counts = {
    backwardPasses: 0,
    exactPasses: 0,
    refreshes: 0,
    kept: 0,
    multiplyAdds: 0,
    savedMultiplyAdds: 0,
  };
  private kernelData: object | undefined;
  private backend: string | undefined;
  private residual: Residual | undefined;
  private selection: Selection | undefined;
  /** A selection to go on with, until a backward pass makes its tensors. */
  private restored: ActivationGradientState['selection'];
  private readonly random: RandomStream;
  private readonly least: number | undefined;

  /**
   * @param options.transposed Whether the kernel is [out, in]. Default false.
   * @param options.least Multiply-adds of dx below which it stays exact, beside `minSize`. Default: what was measured on the
   * current backend (`CELORA_BREAK_EVEN`).
   */
  constructor(
    config: Partial<CELoRAConfig>,
    {transposed = false, least}: {transposed?: boolean; least?: number} = {},
  ) {
    this.config = resolveConfig(config);
    this.transposed = transposed;
    this.least = least;
    this.random = randomStream(this.config.seed);
  }

  get stats(): ActivationGradientStats {
    return {...this.counts};
  }

  /** The selected columns I, int32 [k], ascending; undefined before the first selection. Owned by this object. */
  get indices(): tf.Tensor1D | undefined {
    return this.selection?.indices;
  }

  /**
   * The scores [out] of all columns in the last selection; undefined before the first, and for one that was restored. The
   * share of score energy that is kept is Σ scores² over `indices` to that over all. Owned by this object.
   */
  get selectionScores(): tf.Tensor1D | undefined {
    return this.selection?.scores;
  }

  /**
   * dx for one backward pass.
   * @param dy [N, out].
   * @param kernel W, as at construction.
   * @param frozenData What identifies the values of a frozen W (its data id); undefined for a trainable kernel.
   * @param continued Whether these are more rows of the last pass, which came in pieces: they belong to it in what is
   *   counted and keep its selection.
   */
  compute(
    dy: tf.Tensor2D,
    kernel: Weights,
    frozenData: object | undefined,
    adapter: AdapterTerm = {},
    continued = false,
  ): tf.Tensor2D {
    const pass = {dy, kernel, frozenData, adapter};
    if (this.observer) {
      this.observer(pass);
      return activationGrad({dy, kernel, ...adapter}, this.transposed);
    }
    const [rows, columns] = shapeOf(kernel);
    const exactAdds = dy.shape[0] * rows * columns;
    const plan = this.plan(dy, kernel, frozenData);
    this.counts.multiplyAdds += exactAdds;
    if (!continued) this.counts.backwardPasses++;
    const held = this.exact || plan.exact || this.counts.backwardPasses <= this.config.exactSteps;
    if (held || this.isExactTurn()) {
      if (!continued) this.counts.exactPasses++;
      if (!held && this.config.axis === 'columns') tf.tidy(() => void this.selectionFor(pass, plan));
      return activationGrad({dy, kernel, ...adapter}, this.transposed);
    }
    const keptBefore = continued && this.config.axis === 'rows' ? this.counts.kept : 0;
    this.counts.kept = keptBefore + plan.kept;
    this.counts.savedMultiplyAdds += exactAdds - plan.multiplyAdds;
    return tf.tidy(() => {
      if (this.config.axis === 'columns') return this.fromColumns(pass, plan);
      const sample = sampleRows(dy, plan.kept, this.random());
      return sampledActivationGrad({dy, kernel, ...sample, ...adapter}, this.transposed);
    });
  }

  /** How dx of a pass is computed. */
  plan(dy: tf.Tensor2D, kernel: Weights, frozenData: object | undefined): Plan {
    const [rows, out] = dy.shape;
    const inputs = shapeOf(kernel)[this.transposed ? 1 : 0];
    return planActivationGrad(this.config, rows, inputs, out, frozenData !== undefined, this.least);
  }

  /** The scores by which a selection of these dy would rank the columns, [out]. */
  scores({dy, kernel, frozenData}: ObservedPass): tf.Tensor1D {
    this.follow(frozenData);
    return tf.tidy(() => {
      const {norms} = this.residualOf(kernel, this.plan(dy, kernel, frozenData).frozenRank, frozenData);
      return columnScores(dy, norms, this.config.score);
    });
  }

  /** Keeps another fraction from now on: the columns are selected anew in the next pass. */
  setKeep(keep: number): void {
    this.config = resolveConfig({...this.config, keep});
    this.forgetSelection();
  }

  /** Forgets what was derived from another kernel, or on another backend. */
  private follow(frozenData: object | undefined): void {
    // tfjs has no event for a changed kernel, but every way to change one ends in Variable.assign: a new data id
    if (this.kernelData === frozenData && this.backend === tf.getBackend()) return;
    const {restored} = this;
    this.dispose();
    this.restored = restored;
    this.kernelData = frozenData;
    this.backend = tf.getBackend();
  }

  /** Kept for a frozen kernel, made anew at each call for a trained one. */
  private residualOf(kernel: Weights, rank: number, frozenData: object | undefined): Residual {
    if (frozenData === undefined) return this.factor(kernel, 0);
    this.residual ??= keepAll(() => this.factor(kernel, rank));
    return this.residual;
  }

  private fromColumns(pass: ObservedPass, plan: Plan): tf.Tensor2D {
    const {dy, kernel, frozenData, adapter} = pass;
    const selection = this.selectionFor(pass, plan);
    const {indices} = selection;
    const {frozenA, frozenB} = this.residual ?? {};
    const factors = frozenA && frozenB ? {frozenA, frozenB} : {};
    const pack = () => packColumns({kernel, indices, ...factors}, this.transposed);
    if (frozenData !== undefined) selection.packed ??= keepAll(() => ({packed: pack()})).packed;
    return approxActivationGrad({dy, indices, packed: selection.packed ?? pack(), ...factors, ...adapter});
  }

  /** Whether it is this pass's turn to be exact. */
  private isExactTurn(): boolean {
    const {exactEvery} = this.config;
    return exactEvery > 0 && (this.counts.backwardPasses - 1) % exactEvery === 0;
  }

  /** The columns selected in a pass: as before, or anew where it is time. */
  private selectionFor(pass: ObservedPass, {kept, frozenRank}: Plan): Selection {
    const {kernel, frozenData} = pass;
    this.follow(frozenData);
    if (this.restored) {
      const {indices, madeAt} = this.restored;
      this.selection = {...keepAll(() => ({indices: tf.tensor1d(indices, 'int32')})), madeAt};
      this.restored = undefined;
    }
    if (frozenData !== undefined) this.residualOf(kernel, frozenRank, frozenData);
    const {refreshEvery, exactEvery} = this.config;
    const {madeAt} = this.selection ?? {};
    // the dy of an exact pass is exact itself: the layers after this one have theirs together with it
    const mayBe = exactEvery === 0 || exactEvery > refreshEvery || this.isExactTurn();
    const isDue = mayBe && this.counts.backwardPasses - (madeAt ?? 0) >= refreshEvery;
    if (madeAt === undefined || isDue) this.select(pass, kept);
    return this.selection!;
  }

  private select(pass: ObservedPass, kept: number): void {
    disposeAll(this.selection);
    this.selection = {
      ...keepAll(() => {
        const scores = this.scores(pass);
        return {indices: selectColumns(scores, kept), scores};
      }),
      madeAt: this.counts.backwardPasses,
    };
    this.counts.refreshes++;
  }

  private factor(kernel: Weights, rank: number): Residual {
    const values = floatsOf(kernel);
    const w = this.transposed ? tf.transpose(values) : values;
    if (rank === 0) return {norms: tf.norm(w, 'euclidean', 0)};
    const factors = factorize(w, rank, {seed: this.config.seed});
    const residual = tf.sub(w, tf.matMul(factors.frozenA, factors.frozenB));
    return {...factors, norms: tf.norm(residual, 'euclidean', 0)};
  }

  /** What is to be saved, so that a training run can go on elsewhere. What follows from the kernel is made again there. */
  async state(): Promise<ActivationGradientState> {
    const state = {stats: this.stats, random: this.random.state};
    if (this.restored) return {...state, selection: this.restored};
    if (!this.selection) return state;
    const {indices, madeAt} = this.selection;
    return {...state, selection: {indices: (await indices.data()) as Int32Array, madeAt}};
  }

  /** Goes on as the one would that gave the state. */
  restore({stats, random, selection}: ActivationGradientState): void {
    this.dispose();
    this.counts = {...stats};
    this.random.state = random;
    this.restored = selection;
  }

  /** Frees the derived state; a later backward pass builds it again. */
  dispose(): void {
    disposeAll(this.residual);
    this.residual = undefined;
    this.forgetSelection();
    this.kernelData = undefined;
  }

  private forgetSelection(): void {
    disposeAll(this.selection);
    this.selection = undefined;
    this.restored = undefined;
  }
}
