import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid} from './grid.ts';
import * as shaders from './shaders.ts';

/** Numbers cut into rows of this length; the last one may be shorter. */
interface Rows {
  label: string;
  x: TensorInfo;
  size: number;
  length: number;
  /** The norms of the rows, not their squares. */
  root: boolean;
}

/** ‖row‖² or ‖row‖ of each row. */
export function rowSquares(backend: WebGPUBackend, {label, x, size, length, root}: Rows): TensorInfo {
  const rows = Math.ceil(size / length);
  const vec4 = length % 4 === 0 && size % 4 === 0;
  const each = vec4 ? 4 : 1;
  const output = backend.makeTensorInfo([rows], 'float32');
  dispatch(backend, {
    label,
    source: () => [shaders.reduce_group, shaders.row_squares].join('\n'),
    specialization: {VEC4: vec4, ROOT: root},
    outputs: [{name: 'squares', tensor: output}],
    inputs: [{name: 'x', tensor: x, type: vec4 ? 'vec4f' : 'f32'}],
    uniforms: {rows, width: length / each, size: size / each},
    workgroups: grid(backend, rows),
  });
  return output;
}
