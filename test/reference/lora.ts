import {add, at, type Matrix, matMul, matrix, scale, transpose} from './matrix.ts';

export interface Adapter {
  /** A [in, r]. */
  loraA?: Matrix | undefined;
  /** B [r, out]. */
  loraB?: Matrix | undefined;
  /** s. */
  scale: number;
}

/** The operands of y = activation(xW + s(xA)B + b). */
export interface Product extends Adapter {
  /** [N, in]. */
  x: Matrix;
  /** W [in, out]. */
  kernel: Matrix;
  /** b, [1, out]. */
  bias?: Matrix | undefined;
  activation?: 'linear' | 'relu' | 'elu';
}

export interface ProductGradients {
  x: Matrix;
  kernel: Matrix;
  bias: Matrix;
  loraA?: Matrix;
  loraB?: Matrix;
}

/** Each activation and its derivative. */
const ACTIVATIONS = {
  linear: [(z: number) => z, () => 1],
  relu: [(z: number) => Math.max(z, 0), (z: number) => (z > 0 ? 1 : 0)],
  elu: [(z: number) => (z >= 0 ? z : Math.expm1(z)), (z: number) => (z >= 0 ? 1 : Math.exp(z))],
} as const;

/** z = xW + s(xA)B + b: what the activation sees. */
export function preActivation({x, kernel, bias, loraA, loraB, scale: s}: Product): Matrix {
  let z = matMul(x, kernel);
  if (loraA && loraB) z = add(z, scale(matMul(matMul(x, loraA), loraB), s));
  if (bias) z = matrix(z.rows, z.columns, (i, j) => at(z, i, j) + at(bias, 0, j));
  return z;
}

export function forward(product: Product): Matrix {
  const z = preActivation(product);
  const [activation] = ACTIVATIONS[product.activation ?? 'linear'];
  return matrix(z.rows, z.columns, (i, j) => activation(at(z, i, j)));
}

/** dz = dy · activation′(z). */
export function preActivationGradient(product: Product, dy: Matrix): Matrix {
  const z = preActivation(product);
  const [, derivative] = ACTIVATIONS[product.activation ?? 'linear'];
  return matrix(z.rows, z.columns, (i, j) => at(dy, i, j) * derivative(at(z, i, j)));
}

/** s dz Bᵀ, [N, r]. */
export const adapterGradient = (dz: Matrix, loraB: Matrix, s: number): Matrix =>
  scale(matMul(dz, transpose(loraB)), s);

/** dx + (s dz Bᵀ) Aᵀ, where there is an adapter. */
export function plusAdapter(dx: Matrix, {loraA, loraB, scale: s}: Adapter, dz: Matrix): Matrix {
  return loraA && loraB ? add(dx, matMul(adapterGradient(dz, loraB, s), transpose(loraA))) : dx;
}

/** dx = dz Wᵀ + (s dz Bᵀ) Aᵀ. */
export const exactDx = (product: Adapter & {kernel: Matrix}, dz: Matrix): Matrix =>
  plusAdapter(matMul(dz, transpose(product.kernel)), product, dz);

/** All exact gradients of Σ y·dy. */
export function gradients(product: Product, dy: Matrix): ProductGradients {
  const {x, loraA, loraB, scale: s} = product;
  const dz = preActivationGradient(product, dy);
  const ones = matrix(1, dz.rows, () => 1);
  const base = {x: exactDx(product, dz), kernel: matMul(transpose(x), dz), bias: matMul(ones, dz)};
  if (!loraA || !loraB) return base;
  return {
    ...base,
    loraA: matMul(transpose(x), adapterGradient(dz, loraB, s)),
    loraB: scale(matMul(transpose(matMul(x, loraA)), dz), s),
  };
}
