import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type CELoRAConfig, requireOptions, resolveConfig, show} from '../config.ts';
import {ActivationGradient} from '../gradients/activation_gradient.ts';
import {installGradientFixes} from '../gradients/fixes/install.ts';
import {interceptMatMul} from '../gradients/mat_mul_hook.ts';
import {type DenseSettings, denseForward, denseSettings} from '../layers/dense_args.ts';
import {denseVariables, type Layer} from './layer_tree.ts';

/** A product that the hook may approximate: that of a Dense layer, or a `tf.matMul` by a variable. */
export interface HookedProduct {
  /** The Dense layer; absent for a `tf.matMul`. */
  layer?: Layer;
  /** The kernel. */
  variable: tf.Variable;
  xShape: number[];
  /** [in, out], or [out, in] for a `tf.matMul` with transposeB. */
  kernelShape: number[];
}

/** The options of CE-LoRA that need no adapter, and one of the hook's own. */
export interface HookOptions
  extends Partial<
    Pick<
      CELoRAConfig,
      | 'keep'
      | 'frozenRank'
      | 'refreshEvery'
      | 'exactSteps'
      | 'exactEvery'
      | 'score'
      | 'axis'
      | 'minSize'
      | 'seed'
    >
  > {
  /** Which products are approximated, asked once for each kernel. Default: all of them. */
  match?: (product: HookedProduct) => boolean;
}

export interface HookStats {
  /** Products with a gradient of ours: kernels that matched. */
  products: number;
  backwardPasses: number;
  /** Backward passes whose dx was approximated. */
  approximated: number;
  /** Multiply-adds of the exact activation gradients of all passes, and those saved. */
  multiplyAdds: number;
  savedMultiplyAdds: number;
}

export interface GradientHook {
  stats(): HookStats;
  /** Gives stock tfjs back, bit for bit, and frees all derived state. */
  dispose(): void;
}

const ADAPTER_OPTIONS = ['rank', 'alpha', 'rslora', 'loraDropout'];

/** By kernel; null where `match` said no. */
type Gradients = Map<tf.Variable, ActivationGradient | null>;

/** The gradients of the products that matched, of x · W and of x · Wᵀ. */
class Products {
  private readonly plain: Gradients = new Map();
  private readonly transposed: Gradients = new Map();
  private readonly config: CELoRAConfig;
  private readonly match: (product: HookedProduct) => boolean;

  constructor(options: HookOptions) {
    requireOptions('registerCELoRAGradients', options);
    const {match = () => true, ...config} = options;
    const misplaced = ADAPTER_OPTIONS.find((name) => name in config);
    if (misplaced) {
      throw new Error(
        `registerCELoRAGradients: ${misplaced} is an option of an adapter, and the hook adds none`,
      );
    }
    if (typeof match !== 'function') {
      throw new Error(`registerCELoRAGradients: match must be a function, but is ${show(match)}`);
    }
    this.config = resolveConfig(config, 'registerCELoRAGradients');
    this.match = match;
  }

  /** The gradient of a product; undefined if it is not to be approximated. */
  of(product: HookedProduct, transposed = false): ActivationGradient | undefined {
    const known = transposed ? this.transposed : this.plain;
    let gradient = known.get(product.variable);
    if (gradient === undefined) {
      this.forgetDisposed();
      gradient = this.match(product) ? new ActivationGradient(this.config, {transposed}) : null;
      known.set(product.variable, gradient);
    }
    return gradient ?? undefined;
  }

  private forgetDisposed(): void {
    for (const known of [this.plain, this.transposed]) {
      for (const [variable, gradient] of known) {
        if (!variable.isDisposed) continue;
        gradient?.dispose();
        known.delete(variable);
      }
    }
  }

  private all(): ActivationGradient[] {
    return [...this.plain.values(), ...this.transposed.values()].filter((gradient) => gradient !== null);
  }

  stats(): HookStats {
    const stats = this.all().map((gradient) => gradient.stats);
    const sum = (value: (one: (typeof stats)[number]) => number) =>
      stats.reduce((all, one) => all + value(one), 0);
    return {
      products: stats.length,
      backwardPasses: sum((one) => one.backwardPasses),
      approximated: sum((one) => one.backwardPasses - one.exactPasses),
      multiplyAdds: sum((one) => one.multiplyAdds),
      savedMultiplyAdds: sum((one) => one.savedMultiplyAdds),
    };
  }

  dispose(): void {
    for (const gradient of this.all()) gradient.dispose();
    for (const known of [this.plain, this.transposed]) known.clear();
  }
}

type Call = Layer['call'];
/** What Dense.call does first: a protected method of tfjs. */
type Hookable = {invokeCallHook: (...args: Parameters<Call>) => void};

/** Sends every stock Dense's product through our op: its gradient alone changes. */
function interceptDense(products: Products): () => void {
  // a name of its own, so that tfjs's counter of automatic names stays as it is
  const prototype = Object.getPrototypeOf(tfl.layers.dense({units: 1, name: 'celora_probe'})) as {call: Call};
  const stock = prototype.call;
  const settings = new WeakMap<Layer, DenseSettings>();
  prototype.call = function (this: Layer, inputs, kwargs) {
    const x = Array.isArray(inputs) ? inputs[0]! : inputs;
    const {kernel, bias} = denseVariables(this);
    const variable = kernel.read() as tf.Variable;
    const product = {layer: this, variable, xShape: x.shape, kernelShape: variable.shape};
    const gradient = products.of(product);
    if (gradient === undefined) return stock.call(this, inputs, kwargs);
    let own = settings.get(this);
    if (own === undefined) {
      own = denseSettings(this.getConfig() as {units: number}, this.name);
      // the variables of a layer that was made frozen believe that they are trained: only the setter tells them
      if (!this.trainable) this.trainable = false;
      settings.set(this, own);
    }
    const settled = own;
    return tf.tidy(() => {
      (this as unknown as Hookable).invokeCallHook(inputs, kwargs);
      return denseForward(settled, {x, kernel: variable, bias: bias?.read(), gradient});
    });
  };
  return () => {
    prototype.call = stock;
  };
}

let registered = false;

/**
 * Approximates activation gradients in models as they are: in every stock `tf.layers.dense`, of models made before or
 * after, also under `fit`; and in every `tf.matMul` of a matrix by a rank-2 variable. Forward passes keep their bits.
 * A frozen kernel computes no gradient of its own and is treated as in CELoRADense; a trainable one keeps its exact
 * gradient, and its dx uses its current columns and no frozen factors. All other products (attention's) and direct
 * calls of `tf.fused.matMul` stay stock. The gradient fixes (`installGradientFixes`) are installed with it.
 * @returns The hook; `dispose` takes it out again.
 * @throws Error for an invalid option, or if a hook is registered already.
 */
export function registerCELoRAGradients(options: HookOptions = {}): GradientHook {
  const products = new Products(options);
  if (registered) throw new Error('registerCELoRAGradients: a hook is registered already; dispose it first');
  registered = true;
  const fixes = installGradientFixes();
  const restoreDense = interceptDense(products);
  const restoreMatMul = interceptMatMul((variable, xShape, transposed) =>
    products.of({variable, xShape, kernelShape: variable.shape}, transposed),
  );
  return {
    stats: () => products.stats(),
    dispose() {
      if (!registered) return;
      registered = false;
      restoreDense();
      restoreMatMul();
      fixes.dispose();
      products.dispose();
    },
  };
}
