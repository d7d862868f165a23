import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {runKernel} from '../kernels/register.ts';
import {AdamWStep, type AdamWStepAttrs} from '../kernels/training_kernel_names.ts';
import {globalNorm, pack, unpack} from '../ops/clip_by_global_norm.ts';
import {MomentStore} from './moments.ts';

export interface AdamWOptions {
  /** β₁, decay of the mean of the gradients, 0 ≤ beta1 < 1. Default 0.9. */
  beta1?: number;
  /** β₂, decay of the mean of their squares, 0 ≤ beta2 < 1. Default 0.999. */
  beta2?: number;
  /** ε, added to the root of that mean, > 0. Default 1e-8. */
  epsilon?: number;
  /** λ: each step takes learningRate · weightDecay of a variable away from it, ≥ 0. Default 0.01, as PyTorch's. */
  weightDecay?: number;
  /**
   * Variables whose name matches do not decay (biases and norms, say). The number that tfjs appends to a name that is
   * taken (`bias_1`, in a model loaded a second time) may be there or not. Absent: all decay.
   */
  noDecay?: RegExp;
  /** The most that the norm of all gradients together may be, > 0; see `clipByGlobalNorm`. Absent: no clipping. */
  clipNorm?: number;
}

const DEFAULTS = {beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01};

/** tfjs does not export it. */
type NamedTensor = Awaited<ReturnType<tf.Optimizer['getWeights']>>[number];

type Rule = [wants: string, test: (value: number) => boolean];
const atLeast0: Rule = ['a finite number ≥ 0', (v) => v >= 0 && v < Number.POSITIVE_INFINITY];
const above0: Rule = ['a finite number > 0', (v) => v > 0 && v < Number.POSITIVE_INFINITY];
const share: Rule = ['a number from 0 to below 1', (v) => v >= 0 && v < 1];
const RULES: Record<string, Rule> = {
  learningRate: atLeast0,
  beta1: share,
  beta2: share,
  epsilon: above0,
  weightDecay: atLeast0,
  clipNorm: above0,
};

function check(options: object): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(RULES, name)) throw new Error(`AdamW: unknown option ${name} (${show(value)})`);
    const [wants, test] = RULES[name]!;
    if (typeof value !== 'number' || !test(value)) {
      throw new Error(`AdamW: ${name} must be ${wants}, but is ${show(value)}`);
    }
  }
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) in the form that PyTorch's AdamW has:
 *
 *     m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²
 *     w ← w − η λ w − η m̂ / (√v̂ + ε),  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)
 *
 * All variables are updated together as one vector, in a few operations however many they are. As with tfjs's
 * optimizers, a variable without a gradient stays as it is, t counts the optimizer's steps (also for a variable that
 * joins later), and saved weights are matched by the variables' order.
 */
export class AdamW extends tf.Optimizer {
  /** @nocollapse */
  static className = 'AdamW';
  /** η; may be set before any step. */
  learningRate: number;
  private readonly options: typeof DEFAULTS & {clipNorm?: number};
  private readonly noDecay: RegExp | undefined;
  private readonly moments = new MomentStore();
  private savedIterations: tf.Tensor | undefined;

  /**
   * @param learningRate η ≥ 0. Default 0.001.
   * @throws Error naming the option and the value.
   */
  constructor(learningRate = 0.001, {noDecay, ...options}: AdamWOptions = {}) {
    super();
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this.options = {...DEFAULTS, ...Object.fromEntries(given)};
    check({learningRate, ...this.options});
    if (noDecay !== undefined && !(noDecay instanceof RegExp)) {
      throw new Error(`AdamW: noDecay must be a RegExp, but is ${show(noDecay)}`);
    }
    this.learningRate = learningRate;
    // with g or y a RegExp goes on from its last match
    this.noDecay = noDecay && new RegExp(noDecay.source, noDecay.flags.replace(/[gy]/g, ''));
  }

  override applyGradients(gradients: tf.NamedTensorMap | NamedTensor[]): void {
    const named = Array.isArray(gradients)
      ? gradients
      : Object.entries(gradients).map(([name, tensor]) => ({name, tensor}));
    const updates = named.map(({name, tensor}) => {
      const variable = tf.engine().registeredVariables[name];
      if (!variable) throw new Error(`AdamW: there is no variable named ${show(name)}`);
      this.moments.add(variable);
      return {variable, gradient: tensor as tf.Tensor | null | undefined, decays: this.decays(name)};
    });
    this.incrementIterations();
    // the decaying ones first: the kernel is told how many numbers they are
    const present = updates.filter(({gradient}) => gradient != null);
    const decaying = present.filter(({decays}) => decays);
    const ordered = [...decaying, ...present.filter(({decays}) => !decays)];
    if (ordered.length === 0) return;
    const decayed = decaying.reduce((size, {variable}) => size + variable.size, 0);
    tf.tidy(() =>
      this.update(
        ordered.map(({variable}) => variable),
        pack(ordered.map(({gradient}) => gradient!)),
        decayed,
      ),
    );
  }

  private decays(name: string): boolean {
    return ![name, name.replace(/_\d+$/, '')].some((one) => this.noDecay?.test(one));
  }

  private update(variables: tf.Variable[], grads: tf.Tensor1D, decayed: number): void {
    const {clipNorm, ...options} = this.options;
    const [, scale] = clipNorm === undefined ? [] : globalNorm(grads, clipNorm);
    const inputs = {params: pack(variables), grads, ...this.moments.take(variables), scale};
    const attrs: AdamWStepAttrs = {
      ...options,
      learningRate: this.learningRate,
      decayed,
      step: this.iterations,
    };
    const [params, m, v] = runKernel<[tf.Tensor1D, tf.Tensor1D, tf.Tensor1D]>(AdamWStep, inputs, attrs);
    this.moments.put({m, v});
    const shapes = variables.map(({shape}) => shape);
    for (const [i, value] of unpack(params, shapes).entries()) variables[i]!.assign(value);
  }

  /** The number of steps, then m of every variable, then v; they stay this object's own until the next step. */
  override async getWeights(): Promise<NamedTensor[]> {
    this.savedIterations?.dispose();
    const iterations = await this.saveIterations();
    this.savedIterations = tf.keep(iterations.tensor);
    const all = this.moments.all();
    const weights = (key: 'm' | 'v') => all.map((one) => ({name: `${one.name}/${key}`, tensor: one[key]}));
    return [iterations, ...weights('m'), ...weights('v')];
  }

  /** Takes what `getWeights` gave; the variables of the next steps get the moments in their order. */
  override async setWeights(weights: NamedTensor[]): Promise<void> {
    const moments = await this.extractIterations(weights);
    const count = moments.length / 2;
    if (!Number.isInteger(count)) {
      throw new Error(`AdamW: setWeights takes an odd number of tensors, but got ${weights.length}`);
    }
    this.moments.load(
      moments.slice(0, count).map(({name, tensor}, i) => ({
        name: name.replace(/\/m$/, ''),
        m: tensor,
        v: moments[count + i]!.tensor,
      })),
    );
  }

  override dispose(): void {
    this.moments.dispose();
    this.savedIterations?.dispose();
    this.savedIterations = undefined;
  }

  override getConfig(): tf.serialization.ConfigDict {
    // in a loaded config tfjs takes the underscores out of every string that is not under `name`
    const noDecay = this.noDecay && {noDecay: {name: this.noDecay.source, flags: this.noDecay.flags}};
    return {learningRate: this.learningRate, ...this.options, ...noDecay};
  }

  /** @nocollapse */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    const {name, flags} = (config.noDecay ?? {}) as {name?: string; flags?: string};
    // tfjs adds keys of its own
    const {learningRate, beta1, beta2, epsilon, weightDecay, clipNorm} = config;
    const options = {beta1, beta2, epsilon, weightDecay, clipNorm};
    return new cls(
      learningRate,
      name === undefined ? options : {...options, noDecay: new RegExp(name, flags)},
    );
  }
}

tf.serialization.registerClass(AdamW);
