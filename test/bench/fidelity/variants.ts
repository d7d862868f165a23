import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {
  ActivationGradient,
  type ActivationGradientStats,
  activationGrad,
  type CELoRAConfig,
  factorize,
} from '../../../src/index.ts';
import {celoraLayers} from '../../../src/model/convert.ts';
import {randomStream, shuffled} from '../../../src/random.ts';

/** Columns drawn evenly at each selection, in the place of some of the best or of all. */
export interface Drawn {
  /** Of the columns kept. */
  share: number;
  /** What their part of dx is multiplied by; 1 / (share of the rest that they are) would be unbiased. */
  scale: number;
}

type Compute = Parameters<ActivationGradient['compute']>;

/** An activation gradient of plain operations, which counts what it would cost; its times say nothing. */
abstract class Variant extends ActivationGradient {
  private readonly seen = {passes: 0, refreshes: 0, kept: 0, multiplyAdds: 0, saved: 0};

  override get stats(): ActivationGradientStats {
    const {passes, refreshes, kept, multiplyAdds, saved} = this.seen;
    return {backwardPasses: passes, exactPasses: 0, refreshes, kept, multiplyAdds, savedMultiplyAdds: saved};
  }

  /** Counts a pass that costs so many multiply-adds. @returns Whether it is one that refreshes. */
  protected count(exact: number, multiplyAdds: number, kept: number): boolean {
    const {seen} = this;
    const isRefresh = seen.passes++ % this.config.refreshEvery === 0;
    seen.kept = kept;
    seen.multiplyAdds += exact;
    seen.saved += exact - multiplyAdds;
    if (isRefresh) seen.refreshes++;
    return isRefresh;
  }
}

/** Some columns are drawn. */
class DrawnColumns extends Variant {
  private readonly drawn: Drawn;
  private readonly draw: () => number;
  private fixed:
    | {frozenA: tf.Tensor2D; frozenB: tf.Tensor2D; residual: tf.Tensor2D; norms: tf.Tensor}
    | undefined;
  private selected: {indices: tf.Tensor1D; packed: tf.Tensor2D} | undefined;

  constructor(config: CELoRAConfig, drawn: Drawn) {
    super(config);
    this.drawn = drawn;
    this.draw = randomStream(config.seed);
  }

  override compute(...[dy, weights, frozenData, adapter = {}]: Compute): tf.Tensor2D {
    const kernel = weights as tf.Tensor2D;
    const {kept, multiplyAdds, frozenRank, exact} = this.plan(dy, kernel, frozenData);
    const isRefresh = this.count(dy.shape[0] * kernel.size, multiplyAdds, kept);
    if (exact) return activationGrad({dy, kernel, ...adapter});
    return tf.tidy(() => {
      this.fixed ??= keepAll(() => {
        const {frozenA, frozenB} = factorize(kernel, frozenRank, {seed: this.config.seed});
        const residual = tf.sub<tf.Tensor2D>(kernel, tf.matMul(frozenA, frozenB));
        return {frozenA, frozenB, residual, norms: tf.norm(residual, 'euclidean', 0)};
      });
      const {frozenA, frozenB} = this.fixed;
      if (isRefresh) this.drawAnew(dy, kept);
      const {indices, packed} = this.selected!;
      const terms = [
        tf.matMul(tf.gather(dy, indices, 1), packed, false, true),
        activationGrad({dy: tf.matMul(dy, frozenB, false, true), kernel: frozenA, ...adapter}),
      ];
      return tf.addN(terms) as tf.Tensor2D;
    });
  }

  private drawAnew(dy: tf.Tensor2D, kept: number): void {
    const {residual, norms} = this.fixed!;
    const out = residual.shape[1];
    const few = Math.round(this.drawn.share * kept);
    tf.dispose(Object.values(this.selected ?? {}));
    this.selected = keepAll(() => {
      const scores = tf.mul(tf.norm(dy, 'euclidean', 0), norms);
      const {indices: ranked} = tf.topk(scores, out);
      const rest = shuffled(out - (kept - few), Math.floor(this.draw() * 2 ** 32)).subarray(0, few);
      const places = tf.tensor1d([...Array(kept - few).keys(), ...rest.map((i) => kept - few + i)], 'int32');
      const indices = tf.gather(ranked, places) as tf.Tensor1D;
      const scale = tf.tensor1d([...Array(kept - few).fill(1), ...Array(few).fill(this.drawn.scale)]);
      return {indices, packed: tf.mul<tf.Tensor2D>(tf.gather(residual, indices, 1), scale)};
    });
  }

  override dispose(): void {
    tf.dispose([...Object.values(this.fixed ?? {}), ...Object.values(this.selected ?? {})]);
    this.fixed = undefined;
    this.selected = undefined;
    super.dispose();
  }
}

/** Iterations that find a subspace. */
const ITERATIONS = 2;

/**
 * No columns: dx ≈ (dy (QᵀW)ᵀ) Qᵀ, the frozen factors alone, but with Q the principal subspace of dx itself in the last exact
 * pass, which every refresh is, instead of W's.
 */
class ProjectedGradient extends Variant {
  private readonly projectedRank: number;
  private factors: {q: tf.Tensor2D; b: tf.Tensor2D} | undefined;

  constructor(config: CELoRAConfig, rank: number) {
    super(config);
    this.projectedRank = rank;
  }

  override compute(...[dy, weights, , adapter = {}]: Compute): tf.Tensor2D {
    const kernel = weights as tf.Tensor2D;
    const [rows, out] = dy.shape;
    const inputs = kernel.shape[0];
    const rank = Math.min(this.projectedRank, rows, inputs, out);
    const exact = rows * inputs * out;
    const projected = rows * rank * (inputs + out);
    const isExact = this.stats.backwardPasses % this.config.refreshEvery === 0 || projected >= exact;
    const search = projected < exact ? (2 * ITERATIONS + 2) * rows * inputs * rank : 0;
    this.count(exact, isExact ? exact + search : projected, rank);
    if (projected >= exact) return activationGrad({dy, kernel, ...adapter});
    return tf.tidy(() => {
      if (isExact) {
        const dx = activationGrad({dy, kernel});
        tf.dispose(Object.values(this.factors ?? {}));
        this.factors = keepAll(() => {
          const options = {seed: this.config.seed, iterations: ITERATIONS};
          const {frozenA: q} = factorize(tf.transpose(dx), rank, options);
          return {q, b: tf.matMul(q, kernel, true) as tf.Tensor2D};
        });
        return activationGrad({dy, kernel, ...adapter});
      }
      const {q, b} = this.factors!;
      return activationGrad({dy: tf.matMul(dy, b, false, true), kernel: q, ...adapter});
    });
  }

  override dispose(): void {
    tf.dispose(Object.values(this.factors ?? {}));
    this.factors = undefined;
    super.dispose();
  }
}

/** Has the adapted layers of a model project their dx to so many dimensions. */
export const projectGradients = (model: LayersModel, rank: number): void =>
  replaceGradients(model, (config) => new ProjectedGradient(config, rank));

/** Has the adapted layers of a model draw columns. */
export const drawColumns = (model: LayersModel, drawn: Drawn): void =>
  replaceGradients(model, (config) => new DrawnColumns(config, drawn));

function replaceGradients(model: LayersModel, make: (config: CELoRAConfig) => ActivationGradient): void {
  for (const layer of celoraLayers(model)) {
    layer.gradient.dispose();
    Object.assign(layer, {gradient: make(layer.gradient.config)});
  }
}

function keepAll<T extends Record<string, tf.Tensor>>(make: () => T): T {
  const made = tf.tidy(make);
  for (const tensor of Object.values(made)) tf.keep(tensor);
  return made;
}
