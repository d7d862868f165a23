import * as tf from '@tensorflow/tfjs-core';
import {type GradientHook, type HookOptions, registerCELoRAGradients} from '../../src/index.ts';
import {asStock} from './models.ts';

/** Runs `body` with the hook registered, which leaves no pass exact by default, and takes it out again whatever happens. */
export async function withHook<T>(
  options: HookOptions,
  body: (hook: GradientHook) => T | Promise<T>,
): Promise<T> {
  const hook = registerCELoRAGradients({exactEvery: 0, ...options});
  try {
    return await body(hook);
  } finally {
    hook.dispose();
  }
}

/** The gradient of Σ y·dy with respect to x. */
export const dxOf = (y: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor, dy: tf.Tensor): tf.Tensor =>
  tf.tidy(() => tf.grad((input: tf.Tensor) => tf.sum(tf.mul(y(input), dy)))(x));

export const stockDx = (y: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor, dy: tf.Tensor): Promise<tf.Tensor> =>
  asStock(() => dxOf(y, x, dy));

/** The gradients of Σ y·dy with respect to variables. */
export const gradientsOf = (y: () => tf.Tensor, dy: tf.Tensor, variables: tf.Variable[]): tf.Tensor[] =>
  tf.tidy(() => {
    const {grads} = tf.variableGrads(() => tf.sum(tf.mul(y(), dy)), variables);
    return variables.map(({name}) => grads[name]!);
  });

/** How many matrix products ran. */
export async function productsIn(run: () => tf.TensorContainer): Promise<number> {
  const {kernelNames, kernels} = await tf.profile(() => tf.tidy(run));
  if (kernelNames.length === 0) throw new Error('nothing ran');
  // tfjs-node's fused kernel runs the other one
  const names = tf.getBackend() === 'tensorflow' ? [tf.BatchMatMul] : [tf.BatchMatMul, tf._FusedMatMul];
  return kernels.filter(({name}) => names.includes(name)).length;
}
