import {type Adapter, plusAdapter} from './lora.ts';
import {add, columnNorms, type Matrix, matMul, subtract, takeColumns, transpose} from './matrix.ts';

/** W ≈ A₀B₀. */
export interface Factors {
  /** A₀ [in, r₀]. */
  frozenA: Matrix;
  /** B₀ [r₀, out]. */
  frozenB: Matrix;
}

/** R = W − A₀B₀; W itself without factors. */
export const residual = (kernel: Matrix, factors?: Factors): Matrix =>
  factors ? subtract(kernel, matMul(factors.frozenA, factors.frozenB)) : kernel;

/** Scores of the columns of dy. */
export function columnScores(
  dy: Matrix,
  norms: number[],
  score: 'product' | 'weight' | 'gradient',
): number[] {
  return columnNorms(dy).map((norm, i) => {
    if (score === 'weight') return norms[i]!;
    return score === 'gradient' ? norm : norm * norms[i]!;
  });
}

/** Indices of the k largest, ascending; of equal ones the first. */
export function largest(scores: readonly number[], k: number): number[] {
  const ranked = scores.map((score, index) => ({score, index}));
  ranked.sort((a, b) => b.score - a.score || a.index - b.index);
  return ranked
    .slice(0, k)
    .map(({index}) => index)
    .sort((a, b) => a - b);
}

/** dx ≈ dy[:,I] R[:,I]ᵀ + (dy B₀ᵀ) A₀ᵀ + (s dy Bᵀ) Aᵀ, term by term. */
export function approxDx(
  product: Adapter & {kernel: Matrix},
  dy: Matrix,
  indices: ArrayLike<number>,
  factors?: Factors,
): Matrix {
  const r = residual(product.kernel, factors);
  const kept = matMul(takeColumns(dy, indices), transpose(takeColumns(r, indices)));
  if (!factors) return plusAdapter(kept, product, dy);
  const low = matMul(matMul(dy, transpose(factors.frozenB)), transpose(factors.frozenA));
  return plusAdapter(add(kept, low), product, dy);
}
