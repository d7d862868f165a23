import type {Tensor} from '@tensorflow/tfjs-core';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {AddRMSNorm, RMSNorm} from '../kernels/transformer_kernel_names.ts';
import {operand, positive, rowsOf, vector} from './check.ts';

export interface RMSNormOptions {
  /** ε, added to the mean square, > 0. Default 1e-6. */
  epsilon?: number;
}

/**
 * Root mean square normalisation (arXiv 1910.07467): y = x / √(mean(x²) + ε) · weight over the last axis. Gradients are
 * lazy: a frozen weight costs nothing.
 * @param x [..., d], float32.
 * @param weight [d].
 * @returns [..., d].
 * @throws Error for operands of the wrong dtype or shape.
 */
export function rmsNorm<T extends Tensor>(x: T, weight: Tensor, {epsilon = 1e-6}: RMSNormOptions = {}): T {
  registerGradients();
  const op = 'rmsNorm';
  vector(op, 'weight', weight, rowsOf(op, 'x', x));
  positive(op, 'epsilon', epsilon);
  return runKernel<T>(RMSNorm, {x, weight}, {epsilon});
}

/**
 * A residual addition and the `rmsNorm` of its result, in one kernel: sum = x + residual, y = rmsNorm(sum, weight). For
 * a sum that is used further; of one that is not tfjs makes a gradient of zeros, where tf.add and `rmsNorm` need none.
 * @param x [..., d], float32.
 * @param residual [..., d].
 * @param weight [d].
 * @returns y and sum, [..., d] both.
 * @throws Error for operands of the wrong dtype or shape.
 */
export function addRMSNorm<T extends Tensor>(
  x: T,
  residual: Tensor,
  weight: Tensor,
  {epsilon = 1e-6}: RMSNormOptions = {},
): {y: T; sum: T} {
  registerGradients();
  const op = 'addRMSNorm';
  vector(op, 'weight', weight, rowsOf(op, 'x', x));
  operand(op, 'residual', residual, x.shape);
  positive(op, 'epsilon', epsilon);
  const [y, sum] = runKernel<[T, T]>(AddRMSNorm, {x, residual, weight}, {epsilon});
  return {y, sum};
}
