import type {Tensor, Tensor1D} from '@tensorflow/tfjs-core';
import {SCORES, type Score, show} from '../config.ts';
import {ColumnScores, SampleRows, SelectColumns} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';
import {matrix, vector} from './check.ts';

function checkCount(op: string, name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new Error(`${op}: ${name} must be an integer from 1 to ${most}, but is ${show(value)}`);
  }
}

/**
 * Scores of the columns of dy: ‖dy_i‖·‖R_i‖ ('product', arXiv 2502.01378), ‖R_i‖ ('weight') or ‖dy_i‖ ('gradient').
 * @param dy [N, out].
 * @param norms ‖R_i‖ of the residual's columns, [out].
 * @returns [out].
 */
export function columnScores(dy: Tensor, norms: Tensor, score: Score = 'product'): Tensor1D {
  const [, out] = matrix('columnScores', 'dy', dy);
  vector('columnScores', 'norms', norms, out);
  if (!SCORES.includes(score)) {
    const names = SCORES.map(show).join(', ');
    throw new Error(`columnScores: score must be one of ${names}, but is ${show(score)}`);
  }
  return runKernel(ColumnScores, {dy, norms}, {score});
}

/**
 * The k best columns: deterministic, no rescaling.
 * @param scores [out].
 * @returns int32 [k], ascending.
 */
export function selectColumns(scores: Tensor, k: number): Tensor1D {
  vector('selectColumns', 'scores', scores);
  checkCount('selectColumns', 'k', k, scores.size);
  return runKernel(SelectColumns, {scores}, {k});
}

/**
 * Draws rows of dy with probability p = min(1, c‖row‖), Σp = rows, by systematic sampling; dy[J] / p is then an
 * unbiased estimate of dy.
 * @param dy [N, out].
 * @param rows m, how many rows, 1 … N.
 * @param offset The one uniform random number in [0, 1) that decides the draw.
 * @returns indices int32 [m], the drawn ones ascending, and weights 1/p [m]; a place that no row filled has weight 0.
 */
export function sampleRows(dy: Tensor, rows: number, offset: number): {indices: Tensor1D; weights: Tensor1D} {
  const [most] = matrix('sampleRows', 'dy', dy);
  checkCount('sampleRows', 'rows', rows, most);
  if (!(offset >= 0 && offset < 1)) {
    throw new Error(`sampleRows: offset must be a number with 0 ≤ offset < 1, but is ${show(offset)}`);
  }
  const [indices, weights] = runKernel<[Tensor1D, Tensor1D]>(SampleRows, {dy}, {rows, offset});
  return {indices, weights};
}
