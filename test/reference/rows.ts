import {type Adapter, plusAdapter} from './lora.ts';
import {at, type Matrix, matMul, matrix, rowNorms, transpose, zeros} from './matrix.ts';

/** p = min(1, c‖row‖) with Σp = m (or as much of it as rows other than zero allow), by bisection on c. */
export function inclusionProbabilities(dy: Matrix, m: number): number[] {
  const norms = rowNorms(dy);
  const probabilities = (c: number) => norms.map((norm) => Math.min(1, c * norm));
  let [low, high] = [0, 1e12];
  for (let i = 0; i < 200; i++) {
    const c = (low + high) / 2;
    if (probabilities(c).reduce((sum, p) => sum + p, 0) < m) low = c;
    else high = c;
  }
  return probabilities(high);
}

/** Σ w_J e_J dy[J]: the estimate of dy that a sample of rows stands for. */
export function sampledRows(dy: Matrix, indices: ArrayLike<number>, weights: ArrayLike<number>): Matrix {
  const result = zeros(dy.rows, dy.columns);
  for (let n = 0; n < indices.length; n++) {
    for (let j = 0; j < dy.columns; j++) {
      result.data[indices[n]! * dy.columns + j]! += weights[n]! * at(dy, indices[n]!, j);
    }
  }
  return result;
}

/** dx[J] = w_J dy[J] Wᵀ, 0 elsewhere, + (s dy Bᵀ) Aᵀ of all rows. */
export const sampledDx = (
  product: Adapter & {kernel: Matrix},
  dy: Matrix,
  indices: ArrayLike<number>,
  weights: ArrayLike<number>,
): Matrix => plusAdapter(matMul(sampledRows(dy, indices, weights), transpose(product.kernel)), product, dy);

/** dy with some rows zeroed. */
export const withZeroRows = (dy: Matrix, isZero: (row: number) => boolean): Matrix =>
  matrix(dy.rows, dy.columns, (i, j) => (isZero(i) ? 0 : at(dy, i, j)));

/**
 * Whether systematic sampling draws each row at an offset: a point offset + j lies between the sums of p before and
 * after it; undefined where one is so near to either sum that rounding decides.
 */
export function drawnRows(probabilities: number[], offset: number, margin: number): (boolean | undefined)[] {
  let after = 0;
  return probabilities.map((p) => {
    const before = after;
    after += p;
    const isDrawn = (shift: number) => Math.ceil(after - offset + shift) > Math.ceil(before - offset - shift);
    return isDrawn(margin) === isDrawn(-margin) ? isDrawn(0) : undefined;
  });
}
