import type {TensorInfo} from '@tensorflow/tfjs-core';
import {util} from '@tensorflow/tfjs-core';
import type {FusedActivation, HalfLayout} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {type Binding, dispatch} from './dispatch.ts';
import {instantiate} from './shader.ts';
import * as shaders from './shaders.ts';
import {cutDepth, sumParts} from './sum_parts.ts';
import {tuned} from './tuning.ts';

/** One of the products that add up to C: A [m, depth] · B, B [n, depth] or, with `plainB`, [depth, n]. */
export interface Segment {
  a: TensorInfo;
  b: TensorInfo;
  depth: number;
  /** How B lies, if at half precision; of the first segment only. */
  half?: HalfLayout | undefined;
}

/** C [m, n] = activation(scale · Σ A_s · B_s + bias); see kernels/webgpu/gemm.wgsl. */
export interface Gemm {
  label: string;
  m: number;
  n: number;
  /** One to three; only the first may be turned, gathered or batched. */
  segments: readonly Segment[];
  /** B is [depth, n], as W is in xW. Default: [n, depth], as W is in dy Wᵀ. */
  plainB?: boolean;
  /** A is [depth, m]. */
  turnedA?: boolean;
  /** int32 [depth]: which columns of A's buffer [m, strideA] are A's. */
  indices?: TensorInfo;
  /** Numbers from one row of A to the next, if not depth (m with turnedA). */
  strideA?: number;
  /** Row i of A is row rows[i] of its buffer times weights[i], and is added to row rows[i] of C. */
  rows?: {indices: TensorInfo; weights: TensorInfo};
  /** Default 1. */
  scale?: number;
  bias?: TensorInfo | undefined;
  activation?: FusedActivation;
  /** Equal products, one behind the other in A, B and C. Default 1. */
  batch?: number;
}

const WIDE_SLICE = 16;
/** On an H100, xW of 16 rows takes 0.033 / 0.103 / 0.201 ms at 512² / 2048² / 4096²; in slices of 16 0.035 / 0.112 / 0.278. */
const NARROW_SLICE = 32;

/** How a product is shared out among workgroups. */
interface Tiling {
  /** Rows and columns of a thread. */
  run: 4 | 8;
  /** Numbers along the depth that a workgroup holds at a time: with either run, both factors take 16 KB. */
  slice: number;
  /** Length of a part of the depth, and how many there are. */
  part: number;
  parts: number;
}

/** In tiles of 128 × 128, else of 64 × 64, else with the depth cut into parts: the first that occupies the GPU. */
function tilingOf({m, n, segments, rows, batch = 1}: Gemm): Tiling {
  const tilesOf = (side: number) => Math.ceil(m / side) * Math.ceil(n / side) * batch;
  const occupies = (tiles: number) => tiles >= tuned('CELORA_LEAST_TILES');
  const {depth} = segments[0]!;
  const whole = {part: depth, parts: 1};
  if (occupies(tilesOf(128))) return {run: 8, slice: WIDE_SLICE, ...whole};
  const tiles = tilesOf(64);
  const cuttable = batch === 1 && rows === undefined && !occupies(tiles);
  return {run: 4, slice: NARROW_SLICE, ...(cuttable ? cutDepth(depth, NARROW_SLICE, tiles) : whole)};
}

/** Runs the product into `output`. */
export function gemm(backend: WebGPUBackend, product: Gemm, output: TensorInfo): void {
  const tiling = tilingOf(product);
  const {parts: count} = tiling;
  if (count === 1) {
    multiply(backend, product, tiling, output);
    return;
  }
  const {label, m, n, bias, activation = 'linear'} = product;
  const parts = backend.makeTensorInfo([count, m, n], 'float32');
  multiply(backend, {...product, bias: undefined, activation: 'linear'}, tiling, parts);
  sumParts(backend, {label: `${label}Sum`, parts, count, size: m * n, finish: {n, bias, activation}}, output);
  backend.disposeData(parts.dataId);
}

/** C is [parts, m, n] if there are several. */
function multiply(
  backend: WebGPUBackend,
  product: Gemm,
  {run, slice, part, parts}: Tiling,
  output: TensorInfo,
): void {
  const {label, m, n, segments, plainB = false, turnedA = false, indices, rows, bias} = product;
  const {scale = 1, activation = 'linear', batch = 1} = product;
  const depths = segments.map(({depth}) => depth);
  const strideA = product.strideA ?? (turnedA ? m : depths[0]!);
  // rows that are whole vec4s: those of C, of every A (but for a gathered one), of every B
  const rowLengths = [
    n,
    ...(indices ? [] : [strideA]),
    ...(turnedA ? [m] : depths),
    ...(plainB ? [] : depths),
  ];
  const vec4 = rowLengths.every((length) => length % 4 === 0);
  const partial = !vec4 || depths.some((depth) => depth % slice !== 0);
  const type = vec4 ? 'vec4f' : 'f32';
  const words = vec4 ? 'vec2u' : 'u32';
  const half = segments[0]!.half;
  const columnsB = plainB ? n : depths[0]!;
  const matrices: Binding[] = segments.flatMap(({a, b}, i) => [
    {name: `a${i}`, tensor: a, type: i === 0 && indices ? 'f32' : type},
    {name: `b${i}`, tensor: b, type: i === 0 && half ? words : type},
  ]);
  if (bias) matrices.push({name: 'bias', tensor: bias, type});
  const others: Binding[] = [];
  if (indices) others.push({name: 'indices', tensor: indices, type: 'u32'});
  if (rows) {
    others.push({name: 'rows', tensor: rows.indices, type: 'u32'}, {name: 'weights', tensor: rows.weights});
  }
  const readerOf = (name: string) => (name === 'b0' && half ? shaders.half_matrix : shaders.matrix);
  const source = () => {
    const read = matrices.filter(({name}) => !(name === 'a0' && indices)); // the slice gathers that one itself
    const readers = read.map(({name}) => instantiate(readerOf(name), name));
    const decode = half ? [shaders.decode_half] : [];
    return [...decode, ...readers, shaders.activation, shaders.gemm_slice, shaders.gemm].join('\n');
  };
  const tile = 16 * run;
  dispatch(backend, {
    label,
    source,
    specialization: {
      RUN: run,
      SLICE: slice,
      WIDE: run === 8,
      PARTS: parts > 1,
      VEC4: vec4,
      PARTIAL: partial,
      SEGMENTS_2: segments.length > 1,
      SEGMENTS_3: segments.length > 2,
      A_KM: turnedA,
      GATHERED: indices !== undefined,
      B_KN: plainB,
      ROWS: rows !== undefined,
      BIAS: bias !== undefined,
      RELU: activation === 'relu',
      ELU: activation === 'elu',
      BRAIN: half?.format === 'bfloat16',
    },
    outputs: [{name: 'c', tensor: output, type}],
    inputs: [...matrices, ...others],
    uniforms: {
      m,
      n,
      strideA,
      strideB: half ? 2 * Math.ceil(columnsB / 2) : columnsB,
      batchA: util.sizeFromShape(segments[0]!.a.shape) / batch,
      batchB: util.sizeFromShape(segments[0]!.b.shape) / batch,
      batchC: m * n,
      depth0: depths[0]!,
      depth1: depths[1] ?? 0,
      depth2: depths[2] ?? 0,
      part,
    },
    floats: {scale},
    workgroups: [Math.ceil(n / tile), Math.ceil(m / tile), parts > 1 ? parts : batch],
  });
}
