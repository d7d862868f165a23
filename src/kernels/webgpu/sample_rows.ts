import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {SampleRowsAttrs, SampleRowsInputs} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {rowSquares} from './row_squares.ts';
import * as shaders from './shaders.ts';

export function sampleRows(
  backend: WebGPUBackend,
  {dy}: SampleRowsInputs,
  {rows, offset}: SampleRowsAttrs,
): TensorInfo[] {
  const [size, length] = dy.shape as [number, number];
  const label = 'RowNorms';
  const norms = rowSquares(backend, {label, x: dy, size: size * length, length, root: true});
  const indices = backend.makeTensorInfo([rows], 'int32');
  const weights = backend.makeTensorInfo([rows], 'float32');
  dispatch(backend, {
    label: 'SampleRows',
    source: () => [shaders.reduce_group, shaders.sample_rows].join('\n'),
    specialization: {},
    outputs: [
      {name: 'indices', tensor: indices, type: 'i32'},
      {name: 'weights', tensor: weights},
    ],
    inputs: [{name: 'norms', tensor: norms}],
    uniforms: {size, rows},
    floats: {offset},
    passing: true,
    workgroups: [1, 1, 1],
  });
  backend.disposeData(norms.dataId);
  return [indices, weights];
}
