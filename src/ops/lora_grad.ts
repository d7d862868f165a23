import type {Tensor, Tensor2D} from '@tensorflow/tfjs-core';
import {LoRAGrad} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';

/**
 * What a backward pass needs of an adapter of y = xW + s(xA)B, at once: of the operations of a step these are the most.
 * @param x [N, in].
 * @param dy [N, out].
 * @param loraX s xA [N, r], as the forward pass made it.
 * @param loraB B [r, out].
 * @param scale s.
 * @returns s dy Bᵀ [N, r], dA = xᵀ(s dy Bᵀ) [in, r] and dB = (s xA)ᵀdy [r, out].
 */
export const loraGrad = (
  x: Tensor,
  dy: Tensor,
  loraX: Tensor,
  loraB: Tensor,
  scale: number,
): [loraDy: Tensor2D, gradA: Tensor2D, gradB: Tensor2D] =>
  runKernel(LoRAGrad, {x, dy, loraX, loraB}, {scale});
