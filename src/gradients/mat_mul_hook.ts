import * as tf from '@tensorflow/tfjs-core';
import type {ActivationGradient} from './activation_gradient.ts';

/** Says how dx of x · variable (or x · variableᵀ) is computed; undefined = as stock tfjs does. */
export type Choose = (
  variable: tf.Variable,
  xShape: number[],
  transposed: boolean,
) => ActivationGradient | undefined;

/** What tfjs names the scope of tf.fused.matMul. */
const FUSED_SCOPE = 'fusedMatMul__op';

interface Tagged {
  gradient: ActivationGradient;
  frozenData: object | undefined;
}

/**
 * Gives products of tf.matMul by a rank-2 variable the gradient that `choose` returns.
 *
 * The gradient function sees saved copies only, whose data ids differ from the variable's on some backends (wasm); the
 * kernel sees the operands themselves. Both get the same attributes object, so the kernel's function marks it there.
 * @returns What restores stock tfjs.
 */
export function interceptMatMul(choose: Choose): () => void {
  const marks = new WeakMap<object, Tagged>();
  const mark = (inputs: tf.NamedTensorInfoMap, attrs: object): void => {
    const {a, b} = inputs as {a: tf.TensorInfo; b: tf.TensorInfo};
    const {transposeA, transposeB} = attrs as {transposeA: boolean; transposeB: boolean};
    const {gradientDepth, kernelDepth, scopeStack} = tf.engine().state;
    // while a tape records, tf.fused.matMul with an activation is a plain product: that of a direct call stays stock
    const fused = scopeStack.some(({name}) => name === FUSED_SCOPE);
    const recorded = gradientDepth > 0 && kernelDepth === 1 && !fused;
    if (!recorded || transposeA || a.shape.length !== 2 || b.shape.length !== 2) return;
    // not by its data, which its reshapes share
    const gradient = b instanceof tf.Variable ? choose(b, a.shape, transposeB) : undefined;
    if (gradient)
      marks.set(attrs, {gradient, frozenData: (b as tf.Variable).trainable ? undefined : b.dataId});
  };
  const restoreKernels = backendsWithMatMul().map((backendName) => wrapKernel(backendName, mark));
  const restoreGradient = wrapGradient(marks);
  return () => {
    restoreGradient();
    for (const restore of restoreKernels) restore();
  };
}

function backendsWithMatMul(): string[] {
  return Object.keys(tf.engine().registryFactory).filter(
    (name) => tf.getKernel(tf.BatchMatMul, name) != null,
  );
}

function wrapKernel(
  backendName: string,
  mark: (inputs: tf.NamedTensorInfoMap, attrs: object) => void,
): () => void {
  const stock = tf.getKernel(tf.BatchMatMul, backendName);
  swapKernel({
    ...stock,
    kernelFunc(args) {
      mark(args.inputs, args.attrs ?? {});
      return stock.kernelFunc(args);
    },
  });
  return () => swapKernel(stock);
}

function swapKernel(config: tf.KernelConfig): void {
  tf.unregisterKernel(config.kernelName, config.backendName);
  tf.registerKernel(config);
}

function wrapGradient(marks: WeakMap<object, Tagged>): () => void {
  const stock = tf.getGradient(tf.BatchMatMul);
  swapGradient({
    ...stock,
    gradFunc(dy, saved, attrs) {
      const exact = stock.gradFunc(dy, saved, attrs);
      const tagged = marks.get(attrs);
      if (!tagged) return exact;
      const {gradient, frozenData} = tagged;
      return {...exact, a: () => gradient.compute(dy as tf.Tensor2D, saved[1]!, frozenData)};
    },
  });
  return () => swapGradient(stock);
}

function swapGradient(config: tf.GradConfig): void {
  tf.unregisterGradient(config.kernelName);
  tf.registerGradient(config);
}
