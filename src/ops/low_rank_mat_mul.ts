import type {Tensor, Tensor2D} from '@tensorflow/tfjs-core';
import {LowRankMatMul} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';

/**
 * scale · a · b of matrices one of which is a factor of low rank, so that the result has a short side.
 * @param a [n, k], or [k, n] if transposeA.
 * @param b [k, m], or [m, k] if transposeB.
 * @returns [n, m].
 */
export function lowRankMatMul(
  a: Tensor,
  b: Tensor,
  {transposeA = false, transposeB = false, scale = 1} = {},
): Tensor2D {
  return runKernel(LowRankMatMul, {a, b}, {transposeA, transposeB, scale});
}
