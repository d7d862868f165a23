import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from './backend.ts';
import {type Binding, dispatch} from './dispatch.ts';
import {gemm} from './gemm.ts';
import {grid} from './grid.ts';
import {instantiate} from './shader.ts';
import * as shaders from './shaders.ts';
import {cutDepth, sumParts} from './sum_parts.ts';
import {tuned} from './tuning.ts';

/** C [m, n] = scale · A · B with few columns: a product by an adapter's or a frozen factor. */
export interface Skinny {
  label: string;
  m: number;
  n: number;
  depth: number;
  /** [m, depth], or [depth, m] with `turnedA`. */
  a: TensorInfo;
  turnedA?: boolean;
  /** [n, depth], or [depth, n] with `plainB`. */
  b: TensorInfo;
  plainB?: boolean;
  /** C is [n, m]. */
  turnedC?: boolean;
  /** Default 1. */
  scale?: number;
}

/** More columns than these are no longer few. */
export const MOST_COLUMNS = 32;
const ROWS_OF_TILE = 64;
const SLICE = 64;

/** What skinny_rows.wgsl has sums for. */
const ROWS_OF_GROUP = 8;
const COLUMNS_OF_ROW = 16;

/** Half of a workgroup's threads have something of a row so long to read. */
const LEAST_DEPTH_OF_ROWS = 512;

/** Whether whole rows are read, in one pass where the other form takes two. */
const readsRows = ({m, n, depth, turnedA, turnedC}: Skinny): boolean =>
  !turnedA &&
  !turnedC &&
  n <= COLUMNS_OF_ROW &&
  n % 4 === 0 &&
  depth % 4 === 0 &&
  depth >= LEAST_DEPTH_OF_ROWS &&
  m <= tuned('CELORA_SKINNY_ROWS');

function skinnyRows(
  backend: WebGPUBackend,
  {label, m, n, depth, a, b, plainB = false, scale = 1}: Skinny,
): TensorInfo {
  const output = backend.makeTensorInfo([m, n], 'float32');
  dispatch(backend, {
    label: `${label}Rows`,
    source: shaders.skinny_rows,
    specialization: {B_KN: plainB},
    outputs: [{name: 'c', tensor: output, type: 'vec4f'}],
    inputs: [
      {name: 'a', tensor: a, type: 'vec4f'},
      {name: 'b', tensor: b, type: 'vec4f'},
    ],
    uniforms: {m, n4: n / 4, depth4: depth / 4},
    floats: {scale},
    workgroups: grid(backend, Math.ceil(m / ROWS_OF_GROUP)),
  });
  return output;
}

export function skinny(backend: WebGPUBackend, product: Skinny): TensorInfo {
  if (readsRows(product)) return skinnyRows(backend, product);
  const {label, m, n, depth, a, turnedA = false, b, plainB = false, turnedC = false, scale = 1} = product;
  const output = backend.makeTensorInfo(turnedC ? [n, m] : [m, n], 'float32');
  const rowLengths = [turnedA ? m : depth, plainB ? n : depth];
  const vec4 = rowLengths.every((length) => length % 4 === 0);
  const type = vec4 ? 'vec4f' : 'f32';
  const tiles = Math.ceil(m / ROWS_OF_TILE);
  const {part, parts} = cutDepth(depth, SLICE, tiles);
  const columns = 2 ** Math.ceil(Math.log2(Math.ceil(n / 4)));
  const sums = parts === 1 ? output : backend.makeTensorInfo([parts, m, n], 'float32');
  const matrices: Binding[] = [
    {name: 'a', tensor: a, type},
    {name: 'b', tensor: b, type},
  ];
  dispatch(backend, {
    label,
    source: () => [...matrices.map(({name}) => instantiate(shaders.matrix, name)), shaders.skinny].join('\n'),
    specialization: {
      COLUMNS: columns,
      MANY: columns > 4,
      VEC4: vec4,
      PARTIAL: true,
      A_KM: turnedA,
      B_KN: plainB,
      C_TURNED: turnedC,
    },
    outputs: [{name: 'c', tensor: sums}],
    inputs: matrices,
    uniforms: {m, n, depth, part},
    floats: {scale},
    workgroups: [tiles, 1, parts],
  });
  if (sums === output) return output;
  sumParts(backend, {label: `${label}Sum`, parts: sums, count: parts, size: m * n}, output);
  backend.disposeData(sums.dataId);
  return output;
}

/** C [m, n] of any width: by `skinny` where the columns are few. */
export function lowRank(backend: WebGPUBackend, product: Skinny): TensorInfo {
  const {label, m, n, depth, a, b, turnedA = false, plainB = false, turnedC = false, scale = 1} = product;
  if (n <= MOST_COLUMNS) return skinny(backend, product);
  const output = backend.makeTensorInfo(turnedC ? [n, m] : [m, n], 'float32');
  const straight = {m, n, segments: [{a, b, depth}], turnedA, plainB};
  // Cᵀ = BᵀAᵀ
  const swapped = {m: n, n: m, segments: [{a: b, b: a, depth}], turnedA: plainB, plainB: turnedA};
  gemm(backend, {label, scale, ...(turnedC ? swapped : straight)}, output);
  return output;
}
