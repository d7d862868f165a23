import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {adapterScale, type CELoRAConfig, DEFAULT_CONFIG, requireBoolean, resolveConfig} from '../config.ts';
import {ActivationGradient} from '../gradients/activation_gradient.ts';
import {installGradientFixes} from '../gradients/fixes/install.ts';
import {deviceDropout} from '../ops/dropout.ts';
import {loraMatMul} from '../ops/lora_mat_mul.ts';
import {type RandomStream, seedFor, seedStream} from '../random.ts';
import {AdapterSet, adapterPrefix, freshAdapter} from './adapter.ts';
import {
  type CELoRADenseArgs,
  type DenseSettings,
  denseForward,
  denseSettings,
  layerArgs,
  ownArgs,
  requirePlainKernel,
  serializeSettings,
} from './dense_args.ts';
import {
  halveVariable,
  layoutOf,
  refuseOverflow,
  weightsIn,
  widenVariable,
  wordsFor,
} from './half_variable.ts';
import {firstShape} from './inputs.ts';
import {KernelMerge} from './kernel_merge.ts';

export type {CELoRADenseArgs} from './dense_args.ts';

/**
 * A Dense layer with a LoRA adapter whose activation gradient is approximated (CE-LoRA, arXiv 2502.01378):
 *
 *     y = activation(xW + s(xA)B + b),  x [..., in], W [in, units], A [in, rank], B [rank, units], s = alpha / rank
 *
 * The forward pass is exact. W and b are frozen unless `trainBase`; A starts uniform in ±1/√in and B at zero, so that
 * a new adapter changes nothing. A fresh layer's W is random and frozen: load weights into it, or let `applyCELoRA`
 * make the layer from a trained Dense; the first training step warns otherwise.
 */
export class CELoRADense extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'CELoRADense';
  readonly units: number;
  /** The options in force: those of the active adapter among them, rank 0 where there is none. */
  config: Readonly<CELoRAConfig>;
  readonly trainBase: boolean;
  /** Whether the adapter takes part in the forward pass. Not saved. */
  adapterEnabled = true;
  private readonly settings: DenseSettings;
  private kernel: tfl.LayerVariable | undefined;
  private bias: tfl.LayerVariable | undefined;
  /** The layer's adapters; the active one takes part in the forward pass, and is the one that trains and is saved. */
  readonly adapters = new AdapterSet(() => this.listWeights());
  /** dx of this layer's product, with its derived state and counters. */
  readonly gradient: ActivationGradient;
  /** What the seeds of `loraDropout` are drawn from. */
  readonly dropoutSeed: RandomStream;
  private fixes: ReturnType<typeof installGradientFixes> | undefined;
  private isMerged: boolean;
  private readonly kernelMerge = new KernelMerge();
  /** The data of a random frozen kernel, until training has warned of it. */
  private randomKernel: object | undefined;
  /** Whether training has warned that the adapter takes no part. */
  private idle = false;

  constructor(args: CELoRADenseArgs) {
    super(layerArgs(args));
    const {owner} = this;
    const {trainBase = false, merged = false, ...options} = ownArgs(args);
    this.settings = denseSettings(args, this.name);
    this.units = args.units;
    this.config = resolveConfig(options, owner);
    this.trainBase = requireBoolean(owner, 'trainBase', trainBase);
    this.isMerged = requireBoolean(owner, 'merged', merged);
    if (this.config.base !== 'float32') requirePlainKernel(owner, args, this.config.base);
    this.supportsMasking = true;
    this.inputSpec = [{minNDim: 2}];
    this.gradient = new ActivationGradient({...this.config, seed: seedFor(this.name, this.config.seed)});
    this.dropoutSeed = seedStream(seedFor(`${this.name}/dropout`, this.config.seed));
  }

  /** Who is named in errors. */
  private get owner(): string {
    return `CELoRADense ${this.name}`;
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    const inputs = firstShape(inputShape).at(-1);
    if (inputs == null) {
      throw new Error(`CELoRADense ${this.name}: the last dimension of the input must be known, but is null`);
    }
    if (this.kernel === undefined) {
      this.checkRank(inputs);
      this.kernel = this.addBase('kernel', [inputs, this.units]);
      this.checkBase();
      this.halveBase();
      if (this.settings.useBias) this.bias = this.addBase('bias', [this.units]);
      if (!this.trainBase) this.randomKernel = this.kernel.read().dataId;
      this.addAdapter('lora_', inputs);
    }
    this.finishBuild(inputs);
  }

  /**
   * Builds the layer around a Dense's own variables instead of new ones; they are shared, not copied. The kernel stays as it
   * is, at full precision too, until `halveBase`.
   * @param kernel [in, units]. Its name decides the adapter's: `…/kernel` gives `…/lora_a` and `…/lora_b`.
   * @param bias [units], or none.
   */
  adopt(kernel: tfl.LayerVariable, bias?: tfl.LayerVariable): void {
    if (this.built) throw new Error(`CELoRADense ${this.name}: adopt works on a layer that is not built yet`);
    const inputs = kernel.shape[0]!;
    this.checkRank(inputs);
    this.kernel = kernel;
    this.bias = bias;
    for (const variable of this.base()) variable.trainable = this.trainBase;
    this.addAdapter(adapterPrefix(kernel), inputs);
    this.finishBuild(inputs);
  }

  private addBase(name: 'kernel' | 'bias', shape: number[]): tfl.LayerVariable {
    const {settings, trainBase} = this;
    return this.addWeight(
      name,
      shape,
      undefined,
      settings[`${name}Initializer` as const],
      settings[`${name}Regularizer` as const],
      trainBase,
      settings[`${name}Constraint` as const],
    );
  }

  private checkRank(inputs: number): void {
    const most = Math.min(inputs, this.units);
    const {rank} = this.config;
    if (rank === DEFAULT_CONFIG.rank) this.config = {...this.config, rank: Math.min(rank, most)};
    else if (rank > most) {
      throw new Error(
        `CELoRADense ${this.name}: rank must be at most min(in, units) = ${most}, but is ${rank}`,
      );
    }
  }

  private addAdapter(prefix: string, inputs: number): void {
    const {adapters, config, name, units} = this;
    const seed = seedFor(`${name}/lora_a`, config.seed);
    const adapter = config.rank > 0 ? freshAdapter(prefix, config, {inputs, units}, seed) : undefined;
    adapters.set(adapters.activeName, adapter);
  }

  private base(): tfl.LayerVariable[] {
    return [this.kernel, this.bias].filter((variable) => variable !== undefined);
  }

  /** Sets what depends on which adapter is active. */
  private listWeights(): void {
    if (!this.kernel) return;
    const {active} = this.adapters;
    const adapter = active ? [active.loraA, active.loraB] : [];
    for (const variable of adapter) variable.trainable = this.trainable;
    this.trainableWeights = this.trainBase ? [...adapter, ...this.base()] : adapter;
    this.nonTrainableWeights = this.trainBase ? [] : this.base();
    this.config = {...this.config, ...(active?.config ?? {rank: 0})};
  }

  private finishBuild(inputs: number): void {
    this.inputSpec = [{minNDim: 2, axes: {[-1]: inputs}}];
    this.hold();
    this.built = true;
  }

  /** Refuses a kernel that cannot be held as the option `base` says. */
  checkBase(): void {
    const {base} = this.config;
    const {kernel} = this.baseVariables();
    if (base !== 'float32' && !layoutOf(kernel)) refuseOverflow(this.owner, kernel, kernel.read(), base);
  }

  /** Holds the kernel as the option `base` says. */
  halveBase(): void {
    const {base} = this.config;
    const {kernel} = this.baseVariables();
    if (base !== 'float32' && !layoutOf(kernel)) halveVariable(this.owner, kernel, base);
  }

  /** Holds the kernel at full precision from now on, with the values that it was rounded to. */
  widenBase(): void {
    this.kernelMerge.dispose();
    widenVariable(this.baseVariables().kernel);
    this.config = {...this.config, base: 'float32'};
  }

  /** Has the layer freed with its kernel: a wrapper such as TimeDistributed disposes the variables of its layer, not the layer. */
  hold(): void {
    const {kernel} = this.baseVariables();
    kernel.dispose = () => {
      this.release();
      kernel.dispose();
    };
    this.fixes ??= installGradientFixes();
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: {[key: string]: unknown}): tf.Tensor {
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs);
      const x = Array.isArray(inputs) ? inputs[0]! : inputs;
      const training = kwargs.training === true;
      const kernel = weightsIn(this.kernel!);
      const bias = this.bias?.read();
      const adapted = this.adapterEnabled && !this.isMerged;
      if (training) this.warnOfTraining(adapted);
      const adapter = adapted ? this.adapters.active : undefined;
      const [loraA, loraB] = [adapter?.loraA.read(), adapter?.loraB.read()];
      const scale = adapterScale(this.config);
      const {gradient, settings} = this;
      if (training && loraA && loraB && this.config.loraDropout > 0) {
        // the base sees x, the adapter sees what dropout left of it: two products, of which the first checks x
        const base = loraMatMul({x, kernel, bias, gradient});
        const dropped = deviceDropout(tf.cast(x, 'float32'), this.config.loraDropout, this.dropoutSeed());
        const low = loraMatMul({x: dropped, kernel: loraA});
        const branch = tf.mul(loraMatMul({x: low, kernel: loraB}), scale);
        return settings.activate(tf.add(base, branch));
      }
      return denseForward(settings, {x, kernel, bias, loraA, loraB, scale, gradient});
    });
  }

  /** Of what looks like training and is none, once each. */
  private warnOfTraining(adapted: boolean): void {
    const warn = (how: string) => console.warn(`CELoRADense ${this.name} is being trained ${how}`);
    if (this.randomKernel !== undefined && this.randomKernel === this.kernel?.read().dataId) {
      const cure = 'load weights first, make it from a trained Dense with applyCELoRA, or set trainBase';
      warn(`on a random, frozen kernel: ${cure}`);
    }
    this.randomKernel = undefined;
    const idle = !adapted && this.adapters.active !== undefined;
    if (idle && !this.idle) warn(`without its adapter, which is ${this.isMerged ? 'merged' : 'off'}`);
    this.idle = idle;
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return [...firstShape(inputShape).slice(0, -1), this.units];
  }

  /**
   * Sets all weights ([lora_a, lora_b, kernel, bias] as `getWeights` returns them), or, given as many tensors as a
   * Dense has, kernel and bias alone. A kernel at half precision, which `getWeights` returns as words (see `packHalf`), may be
   * given as float32 [in, units] too.
   */
  override setWeights(weights: tf.Tensor[]): void {
    const base = this.base();
    const whole = this.adapters.active === undefined || weights.length !== base.length;
    const given = new Map((whole ? this.weights : base).map((variable, i) => [variable, weights[i]!]));
    const fitted = (variable: tfl.LayerVariable) => {
      const value = given.get(variable);
      return value ? wordsFor(this.owner, variable, value) : variable.read();
    };
    // too few or too many are for tfjs to refuse
    const fits = !whole || weights.length === this.weights.length;
    tf.tidy(() => super.setWeights(fits ? this.weights.map(fitted) : weights));
  }

  /** What the adapter adds to the kernel, s·AB [in, units]; zeros without adapter. The caller disposes it. */
  deltaWeight(): tf.Tensor2D {
    const adapter = this.adapters.active;
    if (!adapter) return tf.zeros([this.inputs, this.units]);
    const [a, b] = [adapter.loraA.read() as tf.Tensor2D, adapter.loraB.read() as tf.Tensor2D];
    return tf.tidy(() => tf.mul(tf.matMul(a, b), adapterScale(this.config)));
  }

  /** Whether the kernel contains the adapter now. */
  get merged(): boolean {
    return this.isMerged;
  }

  /**
   * Adds the adapter into the kernel, W ← W + s·AB, which makes the layer as cheap as a Dense; a second call does
   * nothing. The kernel before is kept until `unmerge` or `dispose`, since subtracting would not restore its bits. A kernel at
   * half precision is rounded after it; `mergeCELoRA` adds at full precision.
   */
  merge(): void {
    if (this.isMerged) return;
    this.kernelMerge.add(this.baseVariables().kernel, () => this.deltaWeight());
    this.isMerged = true;
  }

  /** Undoes `merge`: bit for bit, or by subtraction if the merged kernel was loaded or changed since. */
  unmerge(): void {
    if (!this.isMerged) return;
    this.kernelMerge.undo(this.baseVariables().kernel, () => this.deltaWeight());
    this.isMerged = false;
  }

  /** Kernel and bias, as they are shared with the Dense that the layer was made from. */
  baseVariables(): {kernel: tfl.LayerVariable; bias: tfl.LayerVariable | undefined} {
    if (!this.kernel) throw new Error(`${this.owner}: the layer is not built yet`);
    return {kernel: this.kernel, bias: this.bias};
  }

  /** Keeps another fraction of the columns (or rows) from now on; 1 = exact. Saved with the layer. */
  setKeep(keep: number): void {
    this.gradient.setKeep(keep);
    this.config = {...this.config, keep};
  }

  /** The size of the last dimension of x. */
  get inputs(): number {
    return this.baseVariables().kernel.shape[0]!;
  }

  /** Frees the active adapter alone, when a stock Dense takes over kernel and bias. */
  discardAdapter(): void {
    this.adapters.active?.dispose();
  }

  /** Frees what is no weight of the layer: what is derived from the weights, and the adapters that are not active. */
  release(): void {
    this.adapters.disposeInactive();
    Reflect.deleteProperty(this.kernel ?? {}, 'dispose');
    this.gradient.dispose();
    this.fixes?.dispose();
    this.fixes = undefined;
    this.kernelMerge.dispose();
  }

  /** The configuration of a stock Dense of the same name, shape and activation. */
  denseConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), ...serializeSettings(this.settings)};
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...this.denseConfig(), ...this.config, trainBase: this.trainBase, merged: this.isMerged};
  }
}

tf.serialization.registerClass(CELoRADense);

/**
 * A {@link CELoRADense} layer, as `tf.layers.dense` makes a Dense.
 * @throws Error naming the argument and its value.
 */
export function celoraDense(args: CELoRADenseArgs): CELoRADense {
  return new CELoRADense(args);
}
