import type {TensorInfo} from '@tensorflow/tfjs-core';
import {portableKernel} from '../portable/register.ts';
import {
  CausalAttention,
  type CausalAttentionAttrs,
  CausalAttentionGrad,
  type CausalAttentionGradInputs,
  type CausalAttentionInputs,
} from '../transformer_kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {tf32} from './products.ts';
import {asItLies} from './row_ops.ts';
import {runOp} from './run_op.ts';

/** Larger heads have the portable form: a thread would not hold its share of a tile in registers. */
const LARGEST_HEAD = 128;

const fits = (q: TensorInfo, {numHeads}: CausalAttentionAttrs) => q.shape[2]! / numHeads <= LARGEST_HEAD;

const countsOf = ({numHeads: heads, numKvHeads: kvHeads}: CausalAttentionAttrs) => ({
  heads,
  kvHeads,
  tf32: tf32(),
});

export function causalAttention(
  backend: TensorFlowBackend,
  inputs: CausalAttentionInputs,
  attrs: CausalAttentionAttrs,
): TensorInfo[] {
  const [q, k, v, segments] = Object.values(inputs);
  if (!fits(q!, attrs)) return portable(backend, CausalAttention, inputs, attrs);
  const [batch, t] = q!.shape as [number, number, number];
  return runOp(backend, {
    name: 'CausalAttention',
    reals: [q!, k!, v!].map((tensor) => asItLies(backend, tensor)),
    integers: [segments],
    counts: {...countsOf(attrs), t},
    numbers: {scale: attrs.scale},
    outputs: 2,
    shapes: [q!.shape, [batch, attrs.numHeads, t]],
  });
}

export function causalAttentionGrad(
  backend: TensorFlowBackend,
  inputs: CausalAttentionGradInputs,
  attrs: CausalAttentionAttrs,
): TensorInfo[] {
  const {dy, q, k, v, y, logSumExp, segments} = inputs;
  if (!fits(q, attrs)) return portable(backend, CausalAttentionGrad, inputs, attrs);
  return runOp(backend, {
    name: 'CausalAttentionGrad',
    reals: [...[dy, q, k, v, y].map((tensor) => asItLies(backend, tensor)), logSumExp],
    integers: [segments],
    counts: countsOf(attrs),
    numbers: {scale: attrs.scale},
    outputs: 3,
    shapes: [q.shape, k.shape, v.shape],
  });
}

const portable = (
  backend: TensorFlowBackend,
  kernelName: string,
  inputs: object,
  attrs: CausalAttentionAttrs,
): TensorInfo[] =>
  portableKernel(kernelName)({inputs: inputs as never, attrs: attrs as never, backend}) as TensorInfo[];
