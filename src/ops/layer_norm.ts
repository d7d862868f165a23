import type {Tensor} from '@tensorflow/tfjs-core';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {LayerNorm} from '../kernels/transformer_kernel_names.ts';
import {positive, rowsOf, vector} from './check.ts';

export interface LayerNormOptions {
  /** ε, added to the variance, > 0. Default 1e-5. */
  epsilon?: number;
}

/**
 * Layer normalisation (arXiv 1607.06450): y = (x − mean(x)) / √(var(x) + ε) · gamma + beta over the last axis. Gradients
 * are lazy: frozen weights cost nothing.
 * @param x [..., d], float32.
 * @param gamma [d].
 * @param beta [d]; absent = 0.
 * @returns [..., d].
 * @throws Error for operands of the wrong dtype or shape.
 */
export function layerNorm<T extends Tensor>(
  x: T,
  gamma: Tensor,
  beta?: Tensor,
  {epsilon = 1e-5}: LayerNormOptions = {},
): T {
  registerGradients();
  const op = 'layerNorm';
  const size = rowsOf(op, 'x', x);
  vector(op, 'gamma', gamma, size);
  if (beta) vector(op, 'beta', beta, size);
  positive(op, 'epsilon', epsilon);
  return runKernel<T>(LayerNorm, {x, gamma, beta}, {epsilon});
}
