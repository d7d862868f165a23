import {type Tensor, type TensorInfo, util} from '@tensorflow/tfjs-core';
import {portableKernel} from '../portable/register.ts';
import {
  CausalAttention,
  type CausalAttentionAttrs,
  CausalAttentionGrad,
  type CausalAttentionGradInputs,
  type CausalAttentionInputs,
} from '../transformer_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {type Binding, dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import {instantiate, type Specialization} from './shader.ts';
import * as shaders from './shaders.ts';
import {sumParts} from './sum_parts.ts';

const ROWS_OF_TILE = 64;

/** Larger heads have the portable form: their tiles would not fit into the least workgroup memory of WebGPU, 16 KB. */
const LARGEST_HEAD = 128;

/** What the kernels of one attention have in common. */
interface Attention {
  batch: number;
  t: number;
  /** Numbers of a head. */
  c: number;
  attrs: CausalAttentionAttrs;
  segments: TensorInfo | undefined;
}

const attentionOf = (
  q: TensorInfo,
  attrs: CausalAttentionAttrs,
  segments: TensorInfo | undefined,
): Attention => {
  const [batch, t, width] = q.shape as [number, number, number];
  return {batch, t, c: width / attrs.numHeads, attrs, segments};
};

/** A kernel that makes a tile of 64 rows of `output` a workgroup. */
interface Pass {
  label: string;
  source: string;
  conditions?: Specialization;
  /** [.., t, heads of c]. */
  output: TensorInfo;
  /** Of each query and head. */
  others?: {outputs?: Record<string, TensorInfo>; inputs?: Record<string, TensorInfo>};
  /** [b, t, heads of c]. */
  matrices: Record<string, TensorInfo>;
  scale: number;
}

function run(backend: WebGPUBackend, {batch, t, c, attrs, segments}: Attention, pass: Pass): void {
  const {label, source, conditions = {}, output, others = {}, matrices, scale} = pass;
  const {vec4, type} = rowsOf(c);
  const inputs: Binding[] = Object.entries(matrices).map(([name, tensor]) => ({name, tensor, type}));
  const plain = (tensors: Record<string, TensorInfo> = {}): Binding[] =>
    Object.entries(tensors).map(([name, tensor]) => ({name, tensor}));
  const readers = () =>
    inputs.flatMap(({name}) => [
      instantiate(shaders.matrix, name),
      instantiate(shaders.attention_matrix, name),
    ]);
  dispatch(backend, {
    label,
    source: () => [...readers(), shaders.attention_tile, source].join('\n'),
    specialization: {
      ACROSS: c <= 64 ? 8 : 16,
      VEC4: vec4,
      PARTIAL: c % 16 !== 0,
      SEGMENTS: segments !== undefined,
      ...conditions,
    },
    outputs: [{name: 'output', tensor: output, type}, ...plain(others.outputs)],
    inputs: [
      ...inputs,
      ...plain(others.inputs),
      ...(segments ? [{name: 'segments', tensor: segments, type: 'i32'} as const] : []),
    ],
    uniforms: {t, c, heads: attrs.numHeads, kvHeads: attrs.numKvHeads},
    floats: {scale},
    workgroups: [attrs.numHeads, batch, Math.ceil(t / ROWS_OF_TILE)],
  });
}

export function causalAttention(
  backend: WebGPUBackend,
  inputs: CausalAttentionInputs,
  attrs: CausalAttentionAttrs,
): TensorInfo[] {
  const [queries, keys, values, segments] = inputs as [Tensor, Tensor, Tensor, Tensor?];
  const attention = attentionOf(queries, attrs, segments);
  const {batch, t, c} = attention;
  if (c > LARGEST_HEAD) return portable(backend, CausalAttention, inputs, attrs);
  const output = backend.makeTensorInfo(queries.shape, 'float32');
  const logSumExp = backend.makeTensorInfo([batch, attrs.numHeads, t], 'float32');
  run(backend, attention, {
    label: 'CausalAttention',
    source: shaders.attention,
    output,
    others: {outputs: {logSumExp}},
    matrices: {queries, keys, values},
    scale: attrs.scale * Math.LOG2E,
  });
  return [output, logSumExp];
}

/**
 * Four passes, and two more where heads share their k and v: dq, dk and dv each have one of their own, since the sums of two
 * in one workgroup would fill the registers of a thread.
 */
export function causalAttentionGrad(
  backend: WebGPUBackend,
  inputs: CausalAttentionGradInputs,
  attrs: CausalAttentionAttrs,
): TensorInfo[] {
  const {dy, q, k, v, y, logSumExp, segments} = inputs;
  const attention = attentionOf(q, attrs, segments);
  if (attention.c > LARGEST_HEAD) return portable(backend, CausalAttentionGrad, inputs, attrs);
  const {scale} = attrs;
  const dots = dotsOf(backend, attention, dy, y);
  const others = {inputs: {logSumExp, dots}};
  const dq = backend.makeTensorInfo(q.shape, 'float32');
  run(backend, attention, {
    label: 'CausalAttentionGradQ',
    source: shaders.attention_grad,
    output: dq,
    others,
    matrices: {rows: q, columns: k, gradRows: dy, gradColumns: v},
    scale,
  });
  const dk = overHeads(backend, attention, k.shape, {
    label: 'CausalAttentionGradK',
    source: shaders.attention_grad,
    conditions: {KEYS: true},
    others,
    matrices: {rows: k, columns: q, gradRows: v, gradColumns: dy},
    scale,
  });
  const dv = overHeads(backend, attention, k.shape, {
    label: 'CausalAttentionGradV',
    source: shaders.attention_grad,
    conditions: {KEYS: true, OF_V: true},
    others: {inputs: {logSumExp}},
    matrices: {rows: k, columns: q, gradColumns: dy},
    scale,
  });
  backend.disposeData(dots.dataId);
  return [dq, dk, dv];
}

/** Σ dy · y of each query and head, [b, H, t]. */
function dotsOf(
  backend: WebGPUBackend,
  {batch, t, c, attrs: {numHeads: heads}}: Attention,
  dy: TensorInfo,
  y: TensorInfo,
): TensorInfo {
  const {vec4, width, type} = rowsOf(c);
  const size = batch * t * heads;
  const dots = backend.makeTensorInfo([batch, heads, t], 'float32');
  dispatch(backend, {
    label: 'CausalAttentionDots',
    source: shaders.attention_dots,
    specialization: {VEC4: vec4},
    outputs: [{name: 'dots', tensor: dots}],
    inputs: [
      {name: 'dy', tensor: dy, type},
      {name: 'y', tensor: y, type},
    ],
    uniforms: {size, width, heads, t},
    workgroups: grid(backend, Math.ceil(size / 32)),
  });
  return dots;
}

/**
 * A gradient of k or v, [b, t, G·c]: the part of each head of q by itself, so that there are enough workgroups for a GPU,
 * then the sum over the heads that share a k and v.
 */
function overHeads(
  backend: WebGPUBackend,
  attention: Attention,
  shape: number[],
  pass: Omit<Pass, 'output'>,
): TensorInfo {
  const {numHeads, numKvHeads} = attention.attrs;
  const count = numHeads / numKvHeads;
  const gradient = backend.makeTensorInfo(shape, 'float32');
  if (count === 1) {
    run(backend, attention, {...pass, output: gradient});
    return gradient;
  }
  const parts = backend.makeTensorInfo([count, ...shape], 'float32');
  run(backend, attention, {...pass, output: parts});
  sumParts(backend, {label: `${pass.label}Sum`, parts, count, size: util.sizeFromShape(shape)}, gradient);
  backend.disposeData(parts.dataId);
  return gradient;
}

const portable = (
  backend: WebGPUBackend,
  kernelName: string,
  inputs: object,
  attrs: CausalAttentionAttrs,
): TensorInfo[] =>
  portableKernel(kernelName)({inputs: inputs as never, attrs: attrs as never, backend}) as TensorInfo[];
