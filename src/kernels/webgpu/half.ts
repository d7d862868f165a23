import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {HalfLayout, PackHalfAttrs, PackHalfInputs, UnpackHalfInputs} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid} from './grid.ts';
import * as shaders from './shaders.ts';

/** A thread makes or reads one word. */
const workgroups = (backend: WebGPUBackend, rows: number, columns: number) =>
  grid(backend, Math.ceil((rows * Math.ceil(columns / 2)) / 64));

export function packHalf(backend: WebGPUBackend, {x}: PackHalfInputs, {format}: PackHalfAttrs): TensorInfo {
  const [rows, columns] = x.shape as [number, number];
  const output = backend.makeTensorInfo([rows, Math.ceil(columns / 2)], 'int32');
  dispatch(backend, {
    label: 'PackHalf',
    source: () => [shaders.encode_half, shaders.pack_half].join('\n'),
    specialization: {BRAIN: format === 'bfloat16'},
    outputs: [{name: 'words', tensor: output, type: 'u32'}],
    inputs: [{name: 'x', tensor: x}],
    uniforms: {rows, columns},
    workgroups: workgroups(backend, rows, columns),
  });
  return output;
}

export function unpackHalf(
  backend: WebGPUBackend,
  {words}: UnpackHalfInputs,
  {format, columns}: HalfLayout,
): TensorInfo {
  const rows = words.shape[0]!;
  const output = backend.makeTensorInfo([rows, columns], 'float32');
  dispatch(backend, {
    label: 'UnpackHalf',
    source: () => [shaders.decode_half, shaders.unpack_half].join('\n'),
    specialization: {BRAIN: format === 'bfloat16'},
    outputs: [{name: 'x', tensor: output}],
    inputs: [{name: 'words', tensor: words, type: 'u32'}],
    uniforms: {rows, columns},
    workgroups: workgroups(backend, rows, columns),
  });
  return output;
}
