import {Matrix as MLMatrix, QrDecomposition, SingularValueDecomposition} from 'ml-matrix';
import {type Matrix, matrix, randomMatrix} from './matrix.ts';

const toLibrary = (a: Matrix): MLMatrix => MLMatrix.from1DArray(a.rows, a.columns, a.data);

/** ‖W − W_r‖_F of the best approximation W_r of rank r (Eckart–Young): from a float64 SVD of a library. */
export function truncationError(a: Matrix, rank: number): number {
  const {diagonal} = new SingularValueDecomposition(toLibrary(a), {
    autoTranspose: true,
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
  });
  return Math.sqrt(diagonal.slice(rank).reduce((sum, value) => sum + value ** 2, 0));
}

/** A random matrix with these singular values, rounded to float32. */
export function withSpectrum(
  rows: number,
  columns: number,
  values: readonly number[],
  random: () => number,
): Matrix {
  const orthogonal = (n: number) => {
    const start = toLibrary(randomMatrix(n, values.length, random));
    return new QrDecomposition(start).orthogonalMatrix;
  };
  const product = orthogonal(rows)
    .mmul(MLMatrix.diag([...values]))
    .mmul(orthogonal(columns).transpose());
  return matrix(rows, columns, (i, j) => Math.fround(product.get(i, j)));
}
