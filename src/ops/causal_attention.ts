import * as tf from '@tensorflow/tfjs-core';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {CausalAttention, type CausalAttentionAttrs} from '../kernels/transformer_kernel_names.ts';
import {count, operand, positive} from './check.ts';

export interface AttentionHeads {
  /** Heads of q. */
  numHeads: number;
  /** Heads of k and v, a divisor of numHeads: each serves numHeads / numKvHeads consecutive heads of q. Default numHeads. */
  numKvHeads?: number | undefined;
  /** What scales the scores, > 0. Default 1 / √headDim. */
  scale?: number | undefined;
}

export interface CausalAttentionOptions extends AttentionHeads {
  /**
   * int32 [batch, t]: a token attends to tokens of its own segment only. For several texts packed into one sequence, and
   * for padding (a segment of its own, on either side). Ids of an absolute value up to 2²⁴. Default: one segment.
   */
  segments?: tf.Tensor | undefined;
}

/** @throws Error naming the option and its value. */
export function checkHeads(owner: string, {numHeads, numKvHeads = numHeads, scale}: AttentionHeads): void {
  count(owner, 'numHeads', numHeads);
  count(owner, 'numKvHeads', numKvHeads);
  if (numHeads % numKvHeads !== 0) {
    throw new Error(`${owner}: numKvHeads must divide numHeads ${numHeads}, but is ${numKvHeads}`);
  }
  if (scale !== undefined) positive(owner, 'scale', scale);
}

/**
 * Causal softmax attention with grouped heads (arXiv 2305.13245): for each head y = softmax(scale · q kᵀ) v, where a token
 * sees itself and the tokens before it. k and v are not repeated for the heads that share them. The backward pass makes
 * the probabilities again instead of keeping t² numbers a head.
 * @param q [batch, t, numHeads · headDim], float32: the heads side by side, as a projection makes them.
 * @param k [batch, t, numKvHeads · headDim].
 * @param v [batch, t, numKvHeads · headDim].
 * @returns [batch, t, numHeads · headDim].
 * @throws Error for options out of their range, and for operands of the wrong dtype or shape.
 */
export function causalAttention(
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  options: CausalAttentionOptions,
): tf.Tensor3D {
  registerGradients();
  const op = 'causalAttention';
  checkHeads(op, options);
  const {numHeads, numKvHeads = numHeads, segments} = options;
  operand(op, 'q', q, [undefined, undefined, undefined]);
  const [batch, t, width] = q.shape as [number, number, number];
  if (width % numHeads !== 0) {
    throw new Error(`${op}: q must have ${numHeads} heads of one size, but its shape is [${q.shape}]`);
  }
  const headDim = width / numHeads;
  operand(op, 'k', k, [batch, t, numKvHeads * headDim]);
  operand(op, 'v', v, k.shape);
  if (segments) operand(op, 'segments', segments, [batch, t], 'int32');
  const attrs: CausalAttentionAttrs = {
    numHeads,
    numKvHeads,
    scale: options.scale ?? 1 / Math.sqrt(headDim),
  };
  const inputs = segments ? [q, k, v, segments] : [q, k, v];
  return tf.tidy(() => runKernel<[tf.Tensor3D, tf.Tensor3D]>(CausalAttention, inputs, attrs)[0]);
}
