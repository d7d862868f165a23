/** A row-major float64 matrix. The references use plain loops only, so that nothing is shared with what they judge. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

export function matrix(
  rows: number,
  columns: number,
  entry: (row: number, column: number) => number,
): Matrix {
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) data[i * columns + j] = entry(i, j);
  return {rows, columns, data};
}

export const at = (a: Matrix, row: number, column: number): number => a.data[row * a.columns + column]!;

export const zeros = (rows: number, columns: number): Matrix => matrix(rows, columns, () => 0);

export const identity = (size: number): Matrix => matrix(size, size, (i, j) => (i === j ? 1 : 0));

export const transpose = (a: Matrix): Matrix => matrix(a.columns, a.rows, (i, j) => at(a, j, i));

export const scale = (a: Matrix, factor: number): Matrix =>
  matrix(a.rows, a.columns, (i, j) => factor * at(a, i, j));

/** The sum of matrices of one shape. */
export const add = (first: Matrix, ...others: Matrix[]): Matrix =>
  matrix(first.rows, first.columns, (i, j) => others.reduce((sum, a) => sum + at(a, i, j), at(first, i, j)));

export const subtract = (a: Matrix, b: Matrix): Matrix => add(a, scale(b, -1));

export function matMul(a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.rows) throw new Error(`reference: ${a.rows}×${a.columns} times ${b.rows}×${b.columns}`);
  const result = zeros(a.rows, b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let l = 0; l < a.columns; l++) {
      const factor = at(a, i, l);
      for (let j = 0; j < b.columns; j++) result.data[i * b.columns + j]! += factor * at(b, l, j);
    }
  }
  return result;
}

/** The columns of these indices, in their order. */
export const takeColumns = (a: Matrix, indices: ArrayLike<number>): Matrix =>
  matrix(a.rows, indices.length, (i, j) => at(a, i, indices[j]!));

/** Euclidean norms of the columns. */
export const columnNorms = (a: Matrix): number[] =>
  Array.from({length: a.columns}, (_, j) =>
    Math.sqrt(
      Array.from({length: a.rows}, (_, i) => at(a, i, j) ** 2).reduce((sum, square) => sum + square, 0),
    ),
  );

/** Euclidean norms of the rows. */
export const rowNorms = (a: Matrix): number[] => columnNorms(transpose(a));

export const frobeniusNorm = (a: Matrix): number => Math.sqrt(a.data.reduce((sum, v) => sum + v * v, 0));

/** Normal random entries (Box–Muller), rounded to float32 so that a tensor holds exactly the same numbers. */
export const randomMatrix = (rows: number, columns: number, random: () => number, deviation = 1): Matrix =>
  matrix(rows, columns, () =>
    Math.fround(deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())),
  );
