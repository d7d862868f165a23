import type {Tensor} from '@tensorflow/tfjs-core';

/**
 * The kernels of a transformer's block beside its products, as kernel_names.ts has those of the adapters.
 *
 * Shapes: [..., d] is any number of rows of d numbers; b sequences of t tokens, H heads of q, G heads of k and v (H a
 * multiple of G; head h of q belongs to head ⌊h·G/H⌋), c numbers a head, the heads of a token side by side.
 */

/** y = x · r(x) · weight, r(x) = 1 / √(mean(x²) + ε) of each row, [..., d]. */
export const RMSNorm = 'RMSNorm';
export interface RMSNormInputs {
  /** [..., d]. */
  x: Tensor;
  /** [d]. */
  weight: Tensor;
}
export interface NormAttrs {
  /** ε > 0. */
  epsilon: number;
}

/** [y, sum]: sum = x + residual, y = RMSNorm(sum, weight), [..., d] both. */
export const AddRMSNorm = 'AddRMSNorm';
export interface AddRMSNormInputs extends RMSNormInputs {
  /** [..., d]. */
  residual: Tensor;
}

/** dx = r · (g − x̂ · mean(g · x̂)) + dSum, g = dy · weight, x̂ = x · r, [..., d]; attributes as of RMSNorm. */
export const RMSNormGrad = 'RMSNormGrad';
export interface RMSNormGradInputs {
  /** [..., d]. */
  dy: Tensor;
  /** What was normalised: x, or the sum, [..., d]. */
  x: Tensor;
  /** [d]. */
  weight: Tensor;
  /** What else flows into the sum, [..., d]. */
  dSum?: Tensor;
}

/** Σ dy · x̂ over the rows, [d]; attributes as of RMSNorm. */
export const RMSNormWeightGrad = 'RMSNormWeightGrad';
export interface NormWeightGradInputs {
  /** [..., d]. */
  dy: Tensor;
  /** What was normalised, [..., d]. */
  x: Tensor;
}

/** y = x̂ · gamma + beta, x̂ = (x − mean(x)) / √(var(x) + ε) of each row, [..., d]; attributes as of RMSNorm. */
export const LayerNorm = 'LayerNorm';
export interface LayerNormInputs {
  /** [..., d]. */
  x: Tensor;
  /** [d]. */
  gamma: Tensor;
  /** [d]; absent = 0. */
  beta?: Tensor;
}

/** dx = (g − mean(g) − x̂ · mean(g · x̂)) / √(var(x) + ε), g = dy · gamma, [..., d]; attributes as of RMSNorm. */
export const LayerNormGrad = 'LayerNormGrad';
export interface LayerNormGradInputs {
  /** [..., d]. */
  dy: Tensor;
  /** [..., d]. */
  x: Tensor;
  /** [d]. */
  gamma: Tensor;
}

/** Σ dy · x̂ over the rows, [d]; inputs and attributes as of RMSNormWeightGrad. */
export const LayerNormWeightGrad = 'LayerNormWeightGrad';

/** Each pair (a, b) of numbers of a head becomes (a·cos − b·sin, b·cos + a·sin), [b, t, H·c]; its own gradient. */
export const RotaryEmbedding = 'RotaryEmbedding';
export interface RotaryEmbeddingInputs {
  /** [b, t, H·c]. */
  x: Tensor;
  /** [t, c/2], of each token and pair. */
  cos: Tensor;
  /** [t, c/2]. */
  sin: Tensor;
}
export interface RotaryEmbeddingAttrs {
  pairing: RotaryPairing;
  /** Rotates back: sin counts with the other sign. */
  inverse: boolean;
}
/** Which numbers of a head are pair i: i and i + c/2 ('half'), or 2i and 2i + 1 ('interleaved'). */
export type RotaryPairing = 'half' | 'interleaved';

/** y = activation(gate) · up, [...]. */
export const GatedUnit = 'GatedUnit';
export interface GatedUnitInputs {
  /** [...]. */
  gate: Tensor;
  /** [...]. */
  up: Tensor;
}
export interface GatedUnitAttrs {
  activation: GateActivation;
}
/** silu(x) = x · σ(x); gelu(x) = ½x(1 + tanh u) = x · σ(2u), u = √(2/π) · (x + 0.044715 x³). */
export type GateActivation = 'silu' | 'gelu';

/** [dGate, dUp] = [dy · up · activation′(gate), dy · activation(gate)], [...] both; attributes as of GatedUnit. */
export const GatedUnitGrad = 'GatedUnitGrad';
export interface GatedUnitGradInputs extends GatedUnitInputs {
  /** [...]. */
  dy: Tensor;
}

/**
 * [y, logSumExp]: y = P v [b, t, H·c], P = softmax(scale · q kᵀ) of each head, over the tokens of a row's own segment up
 * to itself; logSumExp [b, H, t] = log Σ exp of those scaled scores, so that P = exp(scale · q kᵀ − logSumExp).
 */
export const CausalAttention = 'CausalAttention';
/** q [b, t, H·c], k and v [b, t, G·c], then int32 segments [b, t] if there are any. */
export type CausalAttentionInputs = Tensor[];
export interface CausalAttentionAttrs {
  /** H. */
  numHeads: number;
  /** G. */
  numKvHeads: number;
  scale: number;
}

/**
 * [dq, dk, dv]: dS = P · (dy vᵀ − Σ dy·y), dq = scale · dS k, dk = scale · dSᵀ q, dv = Pᵀ dy, those of k and v summed over
 * the heads of q that share them; attributes as of CausalAttention.
 */
export const CausalAttentionGrad = 'CausalAttentionGrad';
export interface CausalAttentionGradInputs {
  /** [b, t, H·c]. */
  dy: Tensor;
  /** [b, t, H·c]. */
  q: Tensor;
  /** [b, t, G·c]. */
  k: Tensor;
  /** [b, t, G·c]. */
  v: Tensor;
  /** [b, t, H·c]. */
  y: Tensor;
  /** [b, H, t]. */
  logSumExp: Tensor;
  /** int32 [b, t]. */
  segments?: Tensor;
}
