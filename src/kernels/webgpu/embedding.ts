import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {
  EmbeddingGradInputs,
  EmbeddingLookupAttrs,
  EmbeddingLookupInputs,
} from '../training_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import * as shaders from './shaders.ts';

export function embeddingLookup(backend: WebGPUBackend, {table, ids}: EmbeddingLookupInputs): TensorInfo {
  const [rows, columns] = [ids.shape[0]!, table.shape[1]!];
  const {width, type} = rowsOf(columns);
  const output = backend.makeTensorInfo([rows, columns], 'float32');
  dispatch(backend, {
    label: 'EmbeddingLookup',
    source: shaders.embedding_lookup,
    specialization: {},
    outputs: [{name: 'rows', tensor: output, type}],
    inputs: [
      {name: 'table', tensor: table, type},
      {name: 'ids', tensor: ids, type: 'u32'},
    ],
    uniforms: {rows, width},
    workgroups: grid(backend, rows),
  });
  return output;
}

/** Without atomic floats, which WebGPU lacks: the same sum each time. */
export function embeddingGrad(
  backend: WebGPUBackend,
  {dy, ids}: EmbeddingGradInputs,
  {classes}: EmbeddingLookupAttrs,
): TensorInfo {
  const [rows, columns] = dy.shape as [number, number];
  const {vec4, width, type} = rowsOf(columns);
  const output = backend.makeTensorInfo([classes, columns], 'float32');
  dispatch(backend, {
    label: 'EmbeddingGrad',
    source: shaders.embedding_grad,
    specialization: {VEC4: vec4},
    outputs: [{name: 'dTable', tensor: output, type}],
    inputs: [
      {name: 'dy', tensor: dy, type},
      {name: 'ids', tensor: ids, type: 'u32'},
    ],
    uniforms: {rows, width, classes},
    workgroups: grid(backend, classes, Math.ceil(width / 256)),
  });
  return output;
}
