import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {
  ColumnScoresAttrs,
  ColumnScoresInputs,
  PackColumnsAttrs,
  PackColumnsInputs,
  SelectColumnsAttrs,
  SelectColumnsInputs,
} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import * as shaders from './shaders.ts';
import {sumParts} from './sum_parts.ts';

/** Rows of dy that one workgroup adds up: enough workgroups for a GPU at 2048 rows, and few parts to sum. */
const ROWS_OF_PART = 128;

/** ‖dy_i‖ times ‖R_i‖ or 1; the score 'weight' is the norms themselves. */
export function columnScores(
  backend: WebGPUBackend,
  {dy, norms}: ColumnScoresInputs,
  {score}: ColumnScoresAttrs,
): TensorInfo {
  if (score === 'weight') {
    backend.incRef(norms.dataId);
    return {...norms};
  }
  const [m, n] = dy.shape as [number, number];
  const count = Math.ceil(m / ROWS_OF_PART);
  const parts = backend.makeTensorInfo([count, n], 'float32');
  dispatch(backend, {
    label: 'ColumnSquares',
    source: shaders.column_squares,
    specialization: {},
    outputs: [{name: 'parts', tensor: parts}],
    inputs: [{name: 'dy', tensor: dy}],
    uniforms: {m, n, part: ROWS_OF_PART},
    workgroups: [Math.ceil(n / 64), count, 1],
  });
  const output = backend.makeTensorInfo([n], 'float32');
  const root = {factors: score === 'gradient' ? undefined : norms};
  sumParts(backend, {label: 'ColumnScores', parts, count, size: n, root}, output);
  backend.disposeData(parts.dataId);
  return output;
}

export function selectColumns(
  backend: WebGPUBackend,
  {scores}: SelectColumnsInputs,
  {k}: SelectColumnsAttrs,
): TensorInfo {
  const output = backend.makeTensorInfo([k], 'int32');
  dispatch(backend, {
    label: 'SelectColumns',
    source: shaders.select_columns,
    specialization: {},
    outputs: [{name: 'indices', tensor: output, type: 'i32'}],
    inputs: [{name: 'scores', tensor: scores}],
    uniforms: {k, size: scores.shape[0]!},
    workgroups: [1, 1, 1],
  });
  return output;
}

/** The layout is [in, k], so that the approximated gradient has the same form as the exact one. */
export function packColumns(
  backend: WebGPUBackend,
  {kernel, indices, frozenA, frozenB}: PackColumnsInputs,
  {transposed, half}: PackColumnsAttrs,
): TensorInfo {
  const [rows, stride] = kernel.shape as [number, number];
  const columns = half?.columns ?? stride;
  const [inputs, out] = transposed ? [columns, rows] : [rows, columns];
  const k = indices.shape[0]!;
  const width = half ? Math.ceil(k / 2) : k;
  const output = backend.makeTensorInfo([inputs, width], half ? 'int32' : 'float32');
  const type = half ? 'u32' : 'f32';
  const factors =
    frozenA && frozenB
      ? [
          {name: 'frozenA', tensor: frozenA},
          {name: 'frozenB', tensor: frozenB},
        ]
      : [];
  dispatch(backend, {
    label: 'PackColumns',
    source: () =>
      [...(half ? [shaders.decode_half, shaders.encode_half] : []), shaders.pack_columns].join('\n'),
    specialization: {
      TURNED: transposed,
      FACTORS: factors.length > 0,
      HALF: half !== undefined,
      BRAIN: half?.format === 'bfloat16',
    },
    outputs: [{name: 'packed', tensor: output, type}],
    inputs: [
      {name: 'kernel', tensor: kernel, type},
      {name: 'indices', tensor: indices, type: 'u32'},
      ...factors,
    ],
    uniforms: {inputs, out, k, stride, rank: frozenA?.shape[1] ?? 0},
    workgroups: [Math.ceil(width / 64), Math.ceil(inputs / 4), 1],
  });
  return output;
}
