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

/** An activation gradient of which some columns are drawn. Of plain operations: its times say nothing. */
class DrawnColumns extends ActivationGradient {
  private readonly drawn: Drawn;
  private readonly draw: () => number;
  private fixed:
    | {frozenA: tf.Tensor2D; frozenB: tf.Tensor2D; residual: tf.Tensor2D; norms: tf.Tensor}
    | undefined;
  private selected: {indices: tf.Tensor1D; packed: tf.Tensor2D} | undefined;
  private readonly seen = {passes: 0, refreshes: 0, kept: 0, multiplyAdds: 0, saved: 0};

  constructor(config: CELoRAConfig, drawn: Drawn) {
    super(config);
    this.drawn = drawn;
    this.draw = randomStream(config.seed);
  }

  override get stats(): ActivationGradientStats {
    const {passes, refreshes, kept, multiplyAdds, saved} = this.seen;
    return {backwardPasses: passes, exactPasses: 0, refreshes, kept, multiplyAdds, savedMultiplyAdds: saved};
  }

  override compute(...[dy, weights, frozenData, adapter = {}]: Compute): tf.Tensor2D {
    const kernel = weights as tf.Tensor2D;
    const {kept, multiplyAdds, frozenRank, exact} = this.plan(dy, kernel, frozenData);
    const {seen} = this;
    seen.kept = kept;
    seen.multiplyAdds += dy.shape[0] * kernel.size;
    seen.saved += dy.shape[0] * kernel.size - multiplyAdds;
    if (exact) return activationGrad({dy, kernel, ...adapter});
    return tf.tidy(() => {
      this.fixed ??= keepAll(() => {
        const {frozenA, frozenB} = factorize(kernel, frozenRank, {seed: this.config.seed});
        const residual = tf.sub<tf.Tensor2D>(kernel, tf.matMul(frozenA, frozenB));
        return {frozenA, frozenB, residual, norms: tf.norm(residual, 'euclidean', 0)};
      });
      const {frozenA, frozenB} = this.fixed;
      if (seen.passes++ % this.config.refreshEvery === 0) this.drawAnew(dy, kept);
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
    this.seen.refreshes++;
  }

  override dispose(): void {
    tf.dispose([...Object.values(this.fixed ?? {}), ...Object.values(this.selected ?? {})]);
    this.fixed = undefined;
    this.selected = undefined;
    super.dispose();
  }
}

function keepAll<T extends Record<string, tf.Tensor>>(make: () => T): T {
  const made = tf.tidy(make);
  for (const tensor of Object.values(made)) tf.keep(tensor);
  return made;
}

/** Has the adapted layers of a model draw columns. */
export function drawColumns(model: LayersModel, drawn: Drawn): void {
  for (const layer of celoraLayers(model)) {
    layer.gradient.dispose();
    Object.assign(layer, {gradient: new DrawnColumns(layer.gradient.config, drawn)});
  }
}

/** Has every so many-th backward pass of the adapted layers be exact, the first one among them. */
export function interleaveExact(model: LayersModel, every: number): void {
  for (const {gradient} of celoraLayers(model)) {
    let passes = 0;
    const compute = gradient.compute.bind(gradient);
    gradient.compute = (...pass) => {
      const {exact} = gradient;
      gradient.exact = gradient.observer === undefined && passes++ % every === 0;
      try {
        return compute(...pass);
      } finally {
        gradient.exact = exact;
      }
    };
  }
}
