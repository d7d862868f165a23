import {env, type TensorInfo} from '@tensorflow/tfjs-core';
import type {
  ActivationGradAttrs,
  ActivationGradInputs,
  ApproxActivationGradAttrs,
  ApproxActivationGradInputs,
  FusedActivation,
  LoRAMatMulAttrs,
  LoRAMatMulInputs,
  LowRankMatMulAttrs,
  LowRankMatMulInputs,
  SampledActivationGradInputs,
} from '../kernel_names.ts';
import {namedOperands} from '../operands.ts';
import type {TensorFlowBackend} from './backend.ts';
import {weightOperand} from './half.ts';
import {asItLies} from './row_ops.ts';
import {runOp, runSingle} from './run_op.ts';

/** Whether products on a GPU, attention's too, may round their factors to TF32, as TensorFlow's own products do. */
export const TF32_FLAG = 'CELORA_TENSORFLOW_TF32';

export const tf32 = (): boolean => env().getBool(TF32_FLAG);

const ACTIVATIONS: FusedActivation[] = ['linear', 'relu', 'elu'];

export function loraMatMul(
  backend: TensorFlowBackend,
  inputs: LoRAMatMulInputs,
  attrs: LoRAMatMulAttrs,
): TensorInfo[] {
  const {hasBias, hasAdapter, scale, activation} = attrs;
  const {x, kernel, bias, loraA, loraB} = namedOperands(inputs, attrs);
  const {real, words, counts} = weightOperand(kernel, attrs);
  const outputs = hasAdapter ? 2 : 1;
  return runOp(backend, {
    name: 'LoRAMatMul',
    reals: [asItLies(backend, x), real, bias, loraA, loraB],
    integers: [words],
    counts: {
      biased: hasBias,
      adapted: hasAdapter,
      activation: ACTIVATIONS.indexOf(activation),
      tf32: tf32(),
      ...counts,
      K: outputs,
    },
    numbers: {scale},
    outputs,
  });
}

export const lowRankMatMul = (
  backend: TensorFlowBackend,
  {a, b}: LowRankMatMulInputs,
  {transposeA, transposeB, scale}: LowRankMatMulAttrs,
): TensorInfo =>
  runSingle(backend, {
    name: 'LowRankMatMul',
    reals: [a, b],
    counts: {transposeA, transposeB, tf32: tf32()},
    numbers: {scale},
  });

/** Both of the adapter's tensors, or none. */
const adapterOf = ({loraA, loraDy}: {loraA?: TensorInfo; loraDy?: TensorInfo}) =>
  loraA && loraDy ? [loraDy, loraA] : [];

export function activationGrad(
  backend: TensorFlowBackend,
  {dy, kernel, ...adapter}: ActivationGradInputs,
  {transposed, half}: ActivationGradAttrs,
): TensorInfo {
  const {real, words, counts} = weightOperand(kernel, {half});
  return runSingle(backend, {
    name: 'ActivationGrad',
    reals: [asItLies(backend, dy), real, ...adapterOf(adapter)],
    integers: [words],
    counts: {transposed, tf32: tf32(), ...counts},
  });
}

export function approxActivationGrad(
  backend: TensorFlowBackend,
  {dy, indices, packed, frozenA, frozenB, ...adapter}: ApproxActivationGradInputs,
  attrs: ApproxActivationGradAttrs,
): TensorInfo {
  const {real, words, counts} = weightOperand(packed, attrs);
  const factors = frozenA && frozenB ? [frozenA, frozenB] : [];
  return runSingle(backend, {
    name: 'ApproxActivationGrad',
    reals: [asItLies(backend, dy), real, ...factors, ...adapterOf(adapter)],
    integers: [indices, words],
    counts: {frozen: factors.length > 0, tf32: tf32(), ...counts},
  });
}

export function sampledActivationGrad(
  backend: TensorFlowBackend,
  {dy, kernel, indices, weights, ...adapter}: SampledActivationGradInputs,
  {transposed, half}: ActivationGradAttrs,
): TensorInfo {
  const {real, words, counts} = weightOperand(kernel, {half});
  return runSingle(backend, {
    name: 'SampledActivationGrad',
    reals: [dy, real, weights, ...adapterOf(adapter)],
    integers: [indices, words],
    counts: {transposed, tf32: tf32(), ...counts},
  });
}
