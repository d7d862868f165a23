import type {TensorInfo} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import type {
  ActivationGradAttrs,
  ActivationGradInputs,
  ApproxActivationGradAttrs,
  ApproxActivationGradInputs,
  LoRAGradAttrs,
  LoRAGradInputs,
  LoRAMatMulAttrs,
  LoRAMatMulInputs,
  LowRankMatMulAttrs,
  LowRankMatMulInputs,
  SampledActivationGradInputs,
} from '../kernel_names.ts';
import {namedOperands} from '../operands.ts';
import type {WebGPUBackend} from './backend.ts';
import {gemm, type Segment} from './gemm.ts';
import {lowRank} from './skinny.ts';

/** in, of a kernel [in, out], or [out, in] if transposed. */
const inputsOf = ({shape}: TensorInfo, {transposed, half}: ActivationGradAttrs): number =>
  transposed ? (half?.columns ?? shape[1]!) : shape[0]!;

const matrixOf = (tensor: TensorInfo) => tensor.shape as [number, number];

/** [x | s xA] · [W ; B] in one loop. */
export function loraMatMul(
  backend: WebGPUBackend,
  inputs: LoRAMatMulInputs,
  attrs: LoRAMatMulAttrs,
): TensorInfo[] {
  const {x, kernel, bias, loraA, loraB} = namedOperands(inputs, attrs);
  const {scale, activation, half} = attrs;
  const [m, depth] = matrixOf(x);
  const n = half?.columns ?? kernel.shape[1]!;
  const segments: Segment[] = [{a: x, b: kernel, depth, half}];
  let loraX: TensorInfo | undefined;
  if (loraA && loraB) {
    const rank = loraA.shape[1]!;
    loraX = lowRank(backend, {label: 'LoRADown', m, n: rank, depth, a: x, b: loraA, plainB: true, scale});
    segments.push({a: loraX, b: loraB, depth: rank});
  }
  const output = backend.makeTensorInfo([m, n], 'float32');
  gemm(backend, {label: 'LoRAMatMul', m, n, segments, plainB: true, bias, activation}, output);
  return loraX ? [output, loraX] : [output];
}

export function lowRankMatMul(
  backend: WebGPUBackend,
  {a, b}: Record<keyof LowRankMatMulInputs, TensorInfo>,
  {transposeA, transposeB, scale}: LowRankMatMulAttrs,
): TensorInfo {
  const [m, depth] = transposeA ? [a.shape[1]!, a.shape[0]!] : matrixOf(a);
  const n = b.shape[transposeB ? 0 : 1]!;
  const label = 'LowRankMatMul';
  if (n <= m) {
    return lowRank(backend, {label, m, n, depth, a, turnedA: transposeA, b, plainB: !transposeB, scale});
  }
  // the factor stands to the left: Cᵀ = BᵀAᵀ has the few columns
  const turned = {a: b, turnedA: !transposeB, b: a, plainB: transposeA, turnedC: true};
  return lowRank(backend, {label, m: n, n: m, depth, ...turned, scale});
}

/** Products by a factor, without tfjs's engine around each: of a step's kernels these are the most. */
export function loraGrad(
  backend: WebGPUBackend,
  {x, dy, loraX, loraB}: LoRAGradInputs,
  {scale}: LoRAGradAttrs,
): TensorInfo[] {
  const turned = {transposeA: true, transposeB: false, scale: 1};
  const loraDy = lowRankMatMul(backend, {a: dy, b: loraB}, {transposeA: false, transposeB: true, scale});
  const gradA = lowRankMatMul(backend, {a: x, b: loraDy}, turned);
  const gradB = lowRankMatMul(backend, {a: loraX, b: dy}, turned);
  return [loraDy, gradA, gradB];
}

export function activationGrad(
  backend: WebGPUBackend,
  {dy, kernel, loraA, loraDy}: ActivationGradInputs,
  {transposed, half}: ActivationGradAttrs,
): TensorInfo {
  const [m, depth] = matrixOf(dy);
  const n = inputsOf(kernel, {transposed, half});
  // the segments share a layout: beside Wᵀ stands Aᵀ
  const turnedA = transposed && loraA ? tf.transpose(loraA) : undefined;
  const segments = [{a: dy, b: kernel, depth, half}, ...adapterSegment(loraA, loraDy, turnedA)];
  const output = backend.makeTensorInfo([m, n], 'float32');
  gemm(backend, {label: 'ActivationGrad', m, n, segments, plainB: transposed}, output);
  turnedA?.dispose();
  return output;
}

const adapterSegment = (loraA?: TensorInfo, loraDy?: TensorInfo, turnedA?: TensorInfo): Segment[] =>
  loraA && loraDy ? [{a: loraDy, b: turnedA ?? loraA, depth: loraA.shape[1]!}] : [];

/** [dy[:,I] | dy B₀ᵀ | s dy Bᵀ] · [R[:,I] | A₀ | A]ᵀ in one loop, without a copy of dy's columns. */
export function approxActivationGrad(
  backend: WebGPUBackend,
  {dy, indices, packed, frozenA, frozenB, loraA, loraDy}: ApproxActivationGradInputs,
  {half}: ApproxActivationGradAttrs,
): TensorInfo {
  const [m, out] = matrixOf(dy);
  const [n, depth] = [packed.shape[0]!, indices.shape[0]!];
  const segments: Segment[] = [{a: dy, b: packed, depth, half}];
  let frozenDy: TensorInfo | undefined;
  if (frozenA && frozenB) {
    const rank = frozenB.shape[0]!;
    frozenDy = lowRank(backend, {label: 'FrozenDown', m, n: rank, depth: out, a: dy, b: frozenB});
    segments.push({a: frozenDy, b: frozenA, depth: rank});
  }
  segments.push(...adapterSegment(loraA, loraDy));
  const output = backend.makeTensorInfo([m, n], 'float32');
  gemm(backend, {label: 'ApproxActivationGrad', m, n, segments, indices, strideA: out}, output);
  if (frozenDy) backend.disposeData(frozenDy.dataId);
  return output;
}

/** Adds the sampled rows' product to the adapter's term, or to zeros. */
export function sampledActivationGrad(
  backend: WebGPUBackend,
  {dy, kernel, indices, weights, loraA, loraDy}: SampledActivationGradInputs,
  {transposed, half}: ActivationGradAttrs,
): TensorInfo {
  const [all, depth] = matrixOf(dy);
  const n = inputsOf(kernel, {transposed, half});
  const output = backend.makeTensorInfo([all, n], 'float32');
  const [adapter] = adapterSegment(loraA, loraDy);
  // a product of depth 0 is zero
  const start = adapter ?? {a: dy, b: kernel, depth: 0, half};
  gemm(backend, {label: 'SampledRowsStart', m: all, n, segments: [start]}, output);
  const segments = [{a: dy, b: kernel, depth, half}];
  const m = indices.shape[0]!;
  const rows = {indices, weights};
  gemm(backend, {label: 'SampledActivationGrad', m, n, segments, plainB: transposed, rows}, output);
  return output;
}
