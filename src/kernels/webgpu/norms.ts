import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {
  AddRMSNormInputs,
  LayerNormGradInputs,
  LayerNormInputs,
  NormAttrs,
  NormWeightGradInputs,
  RMSNormGradInputs,
  RMSNormInputs,
} from '../transformer_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import * as shaders from './shaders.ts';
import {sumParts} from './sum_parts.ts';

/** One pass over the rows of x. */
interface Pass {
  label: string;
  source: string;
  /** Of layer normalisation. */
  centred: boolean;
  epsilon: number;
  conditions?: Record<string, boolean>;
  outputs: Record<string, TensorInfo>;
  /** x, [..., d], gives the size of the rows. */
  inputs: Record<string, TensorInfo> & {x: TensorInfo};
  /** Rows of a workgroup. Default 1. */
  part?: number;
}

function run(backend: WebGPUBackend, pass: Pass): void {
  const {label, source, centred, epsilon, conditions = {}, outputs, inputs, part = 1} = pass;
  const size = inputs.x.shape.at(-1)!;
  const rows = util.sizeFromShape(inputs.x.shape) / size;
  const {vec4, width, type} = rowsOf(size);
  const bind = (tensors: Record<string, TensorInfo>) =>
    Object.entries(tensors).map(([name, tensor]) => ({name, tensor, type}));
  dispatch(backend, {
    label,
    source: () => [shaders.reduce_group, shaders.norm_row, source].join('\n'),
    specialization: {VEC4: vec4, CENTRED: centred, ...conditions},
    outputs: bind(outputs),
    inputs: bind(inputs),
    uniforms: {rows, width, part},
    floats: {size, epsilon},
    workgroups: grid(backend, Math.ceil(rows / part)),
  });
}

const like = (backend: WebGPUBackend, {shape}: TensorInfo) => backend.makeTensorInfo(shape, 'float32');

export function rmsNorm(
  backend: WebGPUBackend,
  {x, weight}: RMSNormInputs,
  {epsilon}: NormAttrs,
): TensorInfo {
  const y = like(backend, x);
  const inputs = {x, weight};
  run(backend, {label: 'RMSNorm', source: shaders.norm, centred: false, epsilon, outputs: {y}, inputs});
  return y;
}

export function addRMSNorm(
  backend: WebGPUBackend,
  {x, residual, weight}: AddRMSNormInputs,
  {epsilon}: NormAttrs,
): TensorInfo[] {
  const [y, sum] = [like(backend, x), like(backend, x)];
  run(backend, {
    label: 'AddRMSNorm',
    source: shaders.norm,
    centred: false,
    epsilon,
    conditions: {RESIDUAL: true},
    outputs: {y, sum},
    inputs: {x, residual, weight},
  });
  return [y, sum];
}

export function rmsNormGrad(
  backend: WebGPUBackend,
  {dy, x, weight, dSum}: RMSNormGradInputs,
  {epsilon}: NormAttrs,
): TensorInfo {
  const dx = like(backend, x);
  run(backend, {
    label: 'RMSNormGrad',
    source: shaders.norm_grad,
    centred: false,
    epsilon,
    conditions: {SUM: dSum !== undefined},
    outputs: {dx},
    inputs: {dy, x, weight, ...(dSum && {dSum})},
  });
  return dx;
}

export function layerNorm(
  backend: WebGPUBackend,
  {x, gamma, beta}: LayerNormInputs,
  {epsilon}: NormAttrs,
): TensorInfo {
  const y = like(backend, x);
  run(backend, {
    label: 'LayerNorm',
    source: shaders.norm,
    centred: true,
    epsilon,
    conditions: {BIAS: beta !== undefined},
    outputs: {y},
    inputs: {x, weight: gamma, ...(beta && {bias: beta})},
  });
  return y;
}

export function layerNormGrad(
  backend: WebGPUBackend,
  {dy, x, gamma}: LayerNormGradInputs,
  {epsilon}: NormAttrs,
): TensorInfo {
  const dx = like(backend, x);
  run(backend, {
    label: 'LayerNormGrad',
    source: shaders.norm_grad,
    centred: true,
    epsilon,
    outputs: {dx},
    inputs: {dy, x, weight: gamma},
  });
  return dx;
}

/** Rows that one workgroup adds up: enough workgroups for a GPU at 2048 rows, and few parts to sum. */
const ROWS_OF_PART = 8;

function weightGrad(
  backend: WebGPUBackend,
  label: string,
  {dy, x}: NormWeightGradInputs,
  {epsilon}: NormAttrs,
  centred: boolean,
): TensorInfo {
  const size = x.shape.at(-1)!;
  const count = Math.ceil(util.sizeFromShape(x.shape) / size / ROWS_OF_PART);
  const output = backend.makeTensorInfo([size], 'float32');
  const parts = count === 1 ? output : backend.makeTensorInfo([count, size], 'float32');
  run(backend, {
    label,
    source: shaders.norm_weight_grad,
    centred,
    epsilon,
    outputs: {parts},
    inputs: {dy, x},
    part: ROWS_OF_PART,
  });
  if (parts === output) return output;
  sumParts(backend, {label: `${label}Sum`, parts, count, size}, output);
  backend.disposeData(parts.dataId);
  return output;
}

export const rmsNormWeightGrad = (backend: WebGPUBackend, inputs: NormWeightGradInputs, attrs: NormAttrs) =>
  weightGrad(backend, 'RMSNormWeightGrad', inputs, attrs, false);

export const layerNormWeightGrad = (backend: WebGPUBackend, inputs: NormWeightGradInputs, attrs: NormAttrs) =>
  weightGrad(backend, 'LayerNormWeightGrad', inputs, attrs, true);
