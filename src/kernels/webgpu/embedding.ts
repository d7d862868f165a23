import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {
  EmbeddingGradInputs,
  EmbeddingLookupAttrs,
  EmbeddingLookupInputs,
} from '../training_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {clear, dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import * as shaders from './shaders.ts';

export function embeddingLookup(
  backend: WebGPUBackend,
  {table, ids}: EmbeddingLookupInputs,
  {half}: EmbeddingLookupAttrs,
): TensorInfo {
  const rows = ids.shape[0]!;
  const columns = half?.columns ?? table.shape[1]!;
  const floats = rowsOf(columns);
  const width = half ? table.shape[1]! : floats.width;
  const output = backend.makeTensorInfo([rows, columns], 'float32');
  dispatch(backend, {
    label: 'EmbeddingLookup',
    source: half ? [shaders.decode_half, shaders.embedding_lookup].join('\n') : shaders.embedding_lookup,
    specialization: {HALF: half !== undefined, BRAIN: half?.format === 'bfloat16'},
    outputs: [{name: 'rows', tensor: output, type: half ? 'f32' : floats.type}],
    inputs: [
      {name: 'table', tensor: table, type: half ? 'u32' : floats.type},
      {name: 'ids', tensor: ids, type: 'u32'},
    ],
    uniforms: {rows, width, columns},
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
  clear(backend, 'EmbeddingGrad', output);
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
    workgroups: grid(backend, rows, Math.ceil(width / 256)),
  });
  return output;
}
