import {add, at, type Matrix, matMul, matrix, transpose, zeros} from './matrix.ts';

/** Whether a label counts. */
const counts = (label: number, classes: number, ignoreLabel: number): boolean =>
  label >= 0 && label < classes && label !== ignoreLabel;

export interface Loss {
  /** Mean of log Σ exp(logits) − logits[label] over the labels that count; 0 if none does. */
  mean: number;
  sum: number;
  counted: number;
  /** Of the mean, with respect to the logits. */
  dLogits: Matrix;
}

export function crossEntropy(logits: Matrix, labels: ArrayLike<number>, ignoreLabel = -100): Loss {
  const {rows, columns} = logits;
  const counted = Array.from(labels).filter((label) => counts(label, columns, ignoreLabel)).length;
  const dLogits = zeros(rows, columns);
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    const label = labels[i]!;
    if (!counts(label, columns, ignoreLabel)) continue;
    let top = Number.NEGATIVE_INFINITY;
    for (let j = 0; j < columns; j++) top = Math.max(top, at(logits, i, j));
    let total = 0;
    for (let j = 0; j < columns; j++) total += Math.exp(at(logits, i, j) - top);
    sum += top - at(logits, i, label) + Math.log(total);
    for (let j = 0; j < columns; j++) {
      const probability = Math.exp(at(logits, i, j) - top) / total;
      dLogits.data[i * columns + j] = (probability - (j === label ? 1 : 0)) / counted;
    }
  }
  return {mean: sum / Math.max(1, counted), sum, counted, dLogits};
}

export interface Head {
  x: Matrix;
  /** W [d, V]. */
  kernel: Matrix;
  /** [1, V]. */
  bias?: Matrix | undefined;
}

/** The loss of logits xW + b, and its gradients. */
export function linearCrossEntropy({x, kernel, bias}: Head, labels: ArrayLike<number>, ignoreLabel?: number) {
  const product = matMul(x, kernel);
  const logits = bias
    ? add(
        product,
        matrix(product.rows, product.columns, (_, j) => at(bias, 0, j)),
      )
    : product;
  const loss = crossEntropy(logits, labels, ignoreLabel);
  return {
    ...loss,
    x: matMul(loss.dLogits, transpose(kernel)),
    kernel: matMul(transpose(x), loss.dLogits),
    bias: matMul(
      matrix(1, x.rows, () => 1),
      loss.dLogits,
    ),
  };
}
