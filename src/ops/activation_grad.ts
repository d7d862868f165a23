import type {Tensor, Tensor2D} from '@tensorflow/tfjs-core';
import {
  ActivationGrad,
  type ActivationGradInputs,
  ApproxActivationGrad,
  type ApproxActivationGradInputs,
  PackColumns,
  type PackColumnsInputs,
  SampledActivationGrad,
  type SampledActivationGradInputs,
} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';
import {matrix, vector} from './check.ts';
import {operandOf, shapeOf, type Weights, weightMatrix, weightsOf} from './half.ts';

/** `inputs` is in: a wrong one would be broadcast in silence. */
function checkAdapter(
  op: string,
  inputs: number | undefined,
  {dy, loraA, loraDy}: {dy: Tensor; loraA?: Tensor; loraDy?: Tensor},
): void {
  if ((loraA === undefined) !== (loraDy === undefined))
    throw new Error(`${op}: loraA and loraDy go together`);
  if (loraA && loraDy) matrix(op, 'loraDy', loraDy, [dy.shape[0], matrix(op, 'loraA', loraA, [inputs])[1]]);
}

function checkFactors(
  op: string,
  inputs: number | undefined,
  out: number | undefined,
  {frozenA, frozenB}: {frozenA?: Tensor; frozenB?: Tensor},
): void {
  if ((frozenA === undefined) !== (frozenB === undefined))
    throw new Error(`${op}: frozenA and frozenB go together`);
  if (frozenA && frozenB) matrix(op, 'frozenB', frozenB, [matrix(op, 'frozenA', frozenA, [inputs])[1], out]);
}

/** Checks W [in, out], or [out, in] if transposed, and returns in and out. */
function checkKernel(op: string, kernel: Weights, transposed: boolean, out?: number): [number, number] {
  const [rows, columns] = weightMatrix(op, 'kernel', kernel, transposed ? [out] : [undefined, out]);
  return transposed ? [columns, rows] : [rows, columns];
}

/** The inputs of a kernel, of which one may be a matrix at half precision. */
type WithWeights<Inputs, Name extends keyof Inputs> = Omit<Inputs, Name> & Record<Name, Weights>;

/**
 * The exact activation gradient dx = dy Wᵀ + (s dy Bᵀ) Aᵀ.
 * @param inputs dy [N, out]; kernel W [in, out] ([out, in] if `transposed`); loraA [in, r] and loraDy = s dy Bᵀ
 *   [N, r], both or neither.
 * @returns [N, in].
 */
export function activationGrad(
  inputs: WithWeights<ActivationGradInputs, 'kernel'>,
  transposed = false,
): Tensor2D {
  const op = 'activationGrad';
  const [, out] = matrix(op, 'dy', inputs.dy);
  checkAdapter(op, checkKernel(op, inputs.kernel, transposed, out)[0], inputs);
  const {tensor: kernel, half} = operandOf(inputs.kernel);
  return runKernel(ActivationGrad, {...inputs, kernel}, {transposed, half});
}

/** What backends keep beside packed columns fills the matrix up to a multiple of so many columns. */
const PACKED_MULTIPLE = 32;

/**
 * in, of packed columns in the layouts that backends give them: [k, in], [in, k], or [in, more] where that is a multiple of
 * PACKED_MULTIPLE. Where two of these fit, the factors say which it is.
 */
function inputsOfPacked(
  op: string,
  {packed, indices, frozenA, loraA}: WithWeights<ApproxActivationGradInputs, 'packed'>,
): number {
  const [rows, columns] = shapeOf(packed);
  const k = indices.size;
  const sizes: number[] = [];
  if (rows === k) sizes.push(columns);
  if (columns === k || (columns > k && columns % PACKED_MULTIPLE === 0)) sizes.push(rows);
  const size = sizes.find((one) => one === (frozenA ?? loraA)?.shape[0]) ?? sizes[0];
  if (size !== undefined) return size;
  throw new Error(`${op}: packed must hold ${k} · in numbers, but its shape is [${rows},${columns}]`);
}

/**
 * The approximated activation gradient dx ≈ dy[:,I] R[:,I]ᵀ + (dy B₀ᵀ) A₀ᵀ + (s dy Bᵀ) Aᵀ (arXiv 2502.01378: the
 * approximated matmul on the residual of Double-LoRA).
 * @param inputs dy [N, out]; indices I, int32 [k]; packed, what `packColumns` returned for them on this backend;
 *   frozenA A₀ [in, r₀] and frozenB B₀ [r₀, out], both or neither; loraA and loraDy as in `activationGrad`.
 * @returns [N, in].
 */
export function approxActivationGrad(inputs: WithWeights<ApproxActivationGradInputs, 'packed'>): Tensor2D {
  const op = 'approxActivationGrad';
  const [, out] = matrix(op, 'dy', inputs.dy);
  vector(op, 'indices', inputs.indices, undefined, 'int32');
  const size = inputsOfPacked(op, inputs);
  checkFactors(op, size, out, inputs);
  checkAdapter(op, size, inputs);
  const {tensor: packed, half} = operandOf(inputs.packed);
  return runKernel(ApproxActivationGrad, {...inputs, packed}, {half});
}

/**
 * R[:,I] of the residual R = W − A₀B₀ in the layout that `approxActivationGrad` of the current backend reads best.
 * @param inputs kernel W [in, out] ([out, in] if `transposed`); indices I, int32 [k], each in [0, out); frozenA
 *   [in, r₀] and frozenB [r₀, out], both or neither (then R = W).
 * @returns k · in numbers, of the kernel's precision, to be given to `approxActivationGrad` only.
 */
export function packColumns(inputs: PackColumnsInputs, transposed?: boolean): Tensor;
export function packColumns(inputs: WithWeights<PackColumnsInputs, 'kernel'>, transposed?: boolean): Weights;
export function packColumns(inputs: WithWeights<PackColumnsInputs, 'kernel'>, transposed = false): Weights {
  const op = 'packColumns';
  const [size, out] = checkKernel(op, inputs.kernel, transposed);
  vector(op, 'indices', inputs.indices, undefined, 'int32');
  checkFactors(op, size, out, inputs);
  const {tensor: kernel, half} = operandOf(inputs.kernel);
  const packed = runKernel<Tensor>(PackColumns, {...inputs, kernel}, {transposed, half});
  if (!half) return packed;
  const [rows, words] = packed.shape as [number, number];
  // [in, k] or [k, in], as the backend likes, or more columns, of which there is an even count
  const columns = size + inputs.indices.size - rows;
  return weightsOf(packed, {
    format: half.format,
    columns: words === Math.ceil(columns / 2) ? columns : 2 * words,
  });
}

/**
 * The activation gradient from a sample of rows (tokens): dx[J] = w_J dy[J] Wᵀ and 0 elsewhere, + (s dy Bᵀ) Aᵀ.
 * @param inputs dy [N, out]; kernel W [in, out] ([out, in] if `transposed`); indices J, int32 [m], and weights w
 *   [m] from `sampleRows`; loraA and loraDy as in `activationGrad`.
 * @returns [N, in].
 */
export function sampledActivationGrad(
  inputs: WithWeights<SampledActivationGradInputs, 'kernel'>,
  transposed = false,
): Tensor2D {
  const op = 'sampledActivationGrad';
  const [, out] = matrix(op, 'dy', inputs.dy);
  const [size] = checkKernel(op, inputs.kernel, transposed, out);
  vector(op, 'indices', inputs.indices, undefined, 'int32');
  vector(op, 'weights', inputs.weights, inputs.indices.size);
  checkAdapter(op, size, inputs);
  const {tensor: kernel, half} = operandOf(inputs.kernel);
  return runKernel(SampledActivationGrad, {...inputs, kernel}, {transposed, half});
}
