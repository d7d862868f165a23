import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {
  AddRMSNormInputs,
  LayerNormGradInputs,
  LayerNormInputs,
  NormAttrs,
  NormWeightGradInputs,
  RMSNormGradInputs,
  RMSNormInputs,
} from '../transformer_kernel_names.ts';
import type {TensorFlowBackend as Backend} from './backend.ts';
import {type Op, runOp, runSingle} from './run_op.ts';

const normOp = (name: string, reals: Op['reals'] & object, {epsilon}: NormAttrs, centred = false): Op => ({
  name,
  reals,
  counts: {centred},
  numbers: {epsilon},
  ofRows: !name.endsWith('WeightGrad'),
});

export const rmsNorm = (backend: Backend, {x, weight}: RMSNormInputs, attrs: NormAttrs): TensorInfo =>
  runSingle(backend, normOp('Norm', [x, weight], attrs));

export const addRMSNorm = (
  backend: Backend,
  {x, residual, weight}: AddRMSNormInputs,
  attrs: NormAttrs,
): TensorInfo[] => runOp(backend, {...normOp('AddNorm', [x, residual, weight], attrs), outputs: 2});

export const rmsNormGrad = (
  backend: Backend,
  {dy, x, weight, dSum}: RMSNormGradInputs,
  attrs: NormAttrs,
): TensorInfo => runSingle(backend, normOp('NormGrad', [dy, x, weight, dSum], attrs));

export const rmsNormWeightGrad = (
  backend: Backend,
  {dy, x}: NormWeightGradInputs,
  attrs: NormAttrs,
): TensorInfo => runSingle(backend, normOp('NormWeightGrad', [dy, x], attrs));

export const layerNorm = (
  backend: Backend,
  {x, gamma, beta}: LayerNormInputs,
  attrs: NormAttrs,
): TensorInfo => runSingle(backend, normOp('Norm', [x, gamma, beta], attrs, true));

export const layerNormGrad = (
  backend: Backend,
  {dy, x, gamma}: LayerNormGradInputs,
  attrs: NormAttrs,
): TensorInfo => runSingle(backend, normOp('NormGrad', [dy, x, gamma], attrs, true));

export const layerNormWeightGrad = (
  backend: Backend,
  {dy, x}: NormWeightGradInputs,
  attrs: NormAttrs,
): TensorInfo => runSingle(backend, normOp('NormWeightGrad', [dy, x], attrs, true));
