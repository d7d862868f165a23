import type {Tensor} from '@tensorflow/tfjs-core';
import type {Score} from '../config.ts';

/**
 * The registered kernels, their inputs and attributes. A backend's folder implements them under these names; a name
 * that a backend lacks is served by the portable implementation (portable/register.ts).
 *
 * Shapes: N rows (tokens), `in` inputs, `out` outputs, r adapter rank, r₀ frozen rank, k columns kept, m rows kept.
 */

/** A precision of 16 bits a number: 'float16' is IEEE 754 binary16, 'bfloat16' the upper half of a float32. */
export type HalfFormat = 'float16' | 'bfloat16';
/**
 * How a matrix lies at half precision: in int32 words [rows, ⌈columns / 2⌉], number 2j of a row in the lower half of its word
 * j, number 2j + 1 in the upper one, which is 0 beyond the last column.
 */
export interface HalfLayout {
  format: HalfFormat;
  columns: number;
}
/** Attributes of a kernel that multiplies by W. */
export interface WeightAttrs {
  /** How W lies, if it is at half precision: its tensor is then the words. */
  half?: HalfLayout | undefined;
}

/** int32 words [rows, ⌈columns / 2⌉] of a matrix x [rows, columns], the nearest numbers, ties to even. */
export const PackHalf = 'PackHalf';
export interface PackHalfInputs {
  x: Tensor;
}
export interface PackHalfAttrs {
  format: HalfFormat;
}

/** The matrix [rows, columns] of such words; its attributes are a HalfLayout. */
export const UnpackHalf = 'UnpackHalf';
export interface UnpackHalfInputs {
  words: Tensor;
}

/** y = activation(xW + s(xA)B + b), [N, out], and with an adapter s xA, [N, r], of which LoRAGrad makes the gradient of B. */
export const LoRAMatMul = 'LoRAMatMul';
/** x [N, in], W [in, out], then b [out] if hasBias, then A [in, r], B [r, out] if hasAdapter: absent ones are left out. */
export type LoRAMatMulInputs = Tensor[];
export interface LoRAMatMulAttrs extends WeightAttrs {
  hasBias: boolean;
  hasAdapter: boolean;
  /** s = alpha / r. */
  scale: number;
  activation: FusedActivation;
}
export type FusedActivation = 'linear' | 'relu' | 'elu';

/** scale · a · b, each transposed or not, where one of the result's sides is an adapter's or a frozen factor's rank. */
export const LowRankMatMul = 'LowRankMatMul';
export interface LowRankMatMulInputs {
  /** [n, k], or [k, n] if transposeA. */
  a: Tensor;
  /** [k, m], or [m, k] if transposeB. */
  b: Tensor;
}
export interface LowRankMatMulAttrs {
  transposeA: boolean;
  transposeB: boolean;
  scale: number;
}

/** What a backward pass needs of an adapter: s dy Bᵀ [N, r], dA = xᵀ(s dy Bᵀ) [in, r], dB = (s xA)ᵀdy [r, out]. */
export const LoRAGrad = 'LoRAGrad';
export interface LoRAGradInputs {
  /** [N, in]. */
  x: Tensor;
  /** [N, out]. */
  dy: Tensor;
  /** s xA [N, r]. */
  loraX: Tensor;
  /** B [r, out]. */
  loraB: Tensor;
}
export interface LoRAGradAttrs {
  /** s = alpha / r. */
  scale: number;
}

/** dx = dy Wᵀ + (s dy Bᵀ) Aᵀ, [N, in]: exact. */
export const ActivationGrad = 'ActivationGrad';
export interface AdapterTerm {
  /** A [in, r]. */
  loraA?: Tensor;
  /** s dy Bᵀ [N, r]; the gradient of A needs it too, so that it is computed once. */
  loraDy?: Tensor;
}
export interface ActivationGradInputs extends AdapterTerm {
  /** [N, out]. */
  dy: Tensor;
  /** W [in, out], or [out, in] if transposed. */
  kernel: Tensor;
}
export interface ActivationGradAttrs extends WeightAttrs {
  /** The kernel is Wᵀ, [out, in]. */
  transposed: boolean;
}

/** dx ≈ dy[:,I] R[:,I]ᵀ + (dy B₀ᵀ) A₀ᵀ + (s dy Bᵀ) Aᵀ, [N, in]. */
export const ApproxActivationGrad = 'ApproxActivationGrad';
export interface ApproxActivationGradInputs extends AdapterTerm {
  /** [N, out]. */
  dy: Tensor;
  /** I: int32 [k], ascending. */
  indices: Tensor;
  /** R[:,I] as PackColumns of the same backend laid it out. */
  packed: Tensor;
  /** A₀ [in, r₀]. */
  frozenA?: Tensor;
  /** B₀ [r₀, out]. */
  frozenB?: Tensor;
}

/** `half` says how `packed` lies. */
export type ApproxActivationGradAttrs = WeightAttrs;

/**
 * R[:,I] in the layout that this backend's ApproxActivationGrad reads best: [in, k], [in, k and more], up to a multiple of
 * 32, or [k, in] as the portable one; at half precision, in words, if the kernel is.
 */
export const PackColumns = 'PackColumns';
export interface PackColumnsInputs {
  kernel: Tensor;
  indices: Tensor;
  frozenA?: Tensor;
  frozenB?: Tensor;
}
export type PackColumnsAttrs = ActivationGradAttrs;

/** dx[J] = w_J dy[J] Wᵀ, 0 elsewhere, + (s dy Bᵀ) Aᵀ, [N, in]. */
export const SampledActivationGrad = 'SampledActivationGrad';
export interface SampledActivationGradInputs extends ActivationGradInputs {
  /** J: int32 [m], ascending. */
  indices: Tensor;
  /** w = 1 / p [m]. */
  weights: Tensor;
}

/** Scores of the columns of dy, [out]. */
export const ColumnScores = 'ColumnScores';
export interface ColumnScoresInputs {
  /** [N, out]. */
  dy: Tensor;
  /** ‖R_i‖ [out]. */
  norms: Tensor;
}
export interface ColumnScoresAttrs {
  score: Score;
}

/** int32 [k]: the indices of the k largest of scores [out], ascending. */
export const SelectColumns = 'SelectColumns';
export interface SelectColumnsInputs {
  scores: Tensor;
}
export interface SelectColumnsAttrs {
  k: number;
}

/** Rows J drawn with probability p ∝ ‖dy row‖ (at most 1), and 1/p: int32 [m] ascending, and [m]. */
export const SampleRows = 'SampleRows';
export interface SampleRowsInputs {
  /** [N, out]. */
  dy: Tensor;
}
export interface SampleRowsAttrs {
  /** m. */
  rows: number;
  /** The one uniform random number in [0, 1) that the draw uses. */
  offset: number;
}

/**
 * L⁻¹ [r, r], lower triangular, where G = LLᵀ: with G = XᵀX the columns of X L⁻ᵀ are orthonormal (Cholesky QR), shorter those
 * of which next to nothing is left beside the columns before them (LEAST_LEFT), and zero where X's are.
 */
export const InverseCholesky = 'InverseCholesky';
export interface InverseCholeskyInputs {
  /** G [r, r], symmetric. */
  gram: Tensor;
}

/**
 * Uniform random numbers in [0, 1), multiples of 2⁻²⁴: number i of the flattened result is a hash of i and the seed,
 * the same on every backend (counter_hash.ts). No inputs.
 */
export const DeviceRandomUniform = 'DeviceRandomUniform';
export interface DeviceRandomUniformAttrs {
  shape: number[];
  /** An integer in [0, 2³²). */
  seed: number;
}

/** A mask of dropout: 1 / (1 − rate) where DeviceRandomUniform gives less than 1 − rate, 0 elsewhere. No inputs. */
export const DropoutMask = 'DropoutMask';
export interface DropoutMaskAttrs extends DeviceRandomUniformAttrs {
  /** 0 < rate < 1. */
  rate: number;
}
