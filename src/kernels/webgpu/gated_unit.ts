import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {GatedUnitAttrs, GatedUnitGradInputs, GatedUnitInputs} from '../transformer_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import * as shaders from './shaders.ts';

function run(
  backend: WebGPUBackend,
  label: string,
  inputs: Record<string, TensorInfo> & {gate: TensorInfo},
  outputNames: readonly string[],
  conditions: Record<string, boolean>,
): TensorInfo[] {
  const {shape} = inputs.gate;
  const {width: size, type} = rowsOf(util.sizeFromShape(shape));
  const outputs = outputNames.map((name) => ({name, tensor: backend.makeTensorInfo(shape, 'float32'), type}));
  dispatch(backend, {
    label,
    source: shaders.gated_unit,
    specialization: conditions,
    outputs,
    inputs: Object.entries(inputs).map(([name, tensor]) => ({name, tensor, type})),
    uniforms: {size},
    workgroups: grid(backend, Math.ceil(size / 64)),
  });
  return outputs.map(({tensor}) => tensor);
}

export function gatedUnit(
  backend: WebGPUBackend,
  {gate, up}: GatedUnitInputs,
  {activation}: GatedUnitAttrs,
): TensorInfo {
  const [y] = run(backend, 'GatedUnit', {gate, up}, ['y'], {GELU: activation === 'gelu'});
  return y!;
}

export function gatedUnitGrad(
  backend: WebGPUBackend,
  {dy, gate, up}: GatedUnitGradInputs,
  {activation}: GatedUnitAttrs,
): TensorInfo[] {
  const conditions = {GRAD: true, GELU: activation === 'gelu'};
  return run(backend, 'GatedUnitGrad', {dy, gate, up}, ['dGate', 'dUp'], conditions);
}
