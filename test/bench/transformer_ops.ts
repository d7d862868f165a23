import type * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../../src/kernels/register.ts';
import * as names from '../../src/kernels/transformer_kernel_names.ts';
import {type OpEntry, type OpSizes, operand} from './op_entry.ts';

type Tensors = tf.Tensor | tf.Tensor[];

/** An entry whose kernel takes these operands by name. */
function entry(
  name: string,
  work: {flops?: number; bytes?: number},
  operands: () => Record<string, tf.Tensor>,
  attrs: object = {},
): OpEntry {
  return {
    name,
    ...work,
    make: () => {
      const inputs = operands();
      return () => runKernel<Tensors>(name, inputs, attrs);
    },
  };
}

function norms({rows, hidden}: OpSizes): OpEntry[] {
  const matrix = () => operand(rows, hidden);
  const vector = () => operand(hidden);
  const moved = (matrices: number) => ({bytes: 4 * matrices * rows * hidden});
  const attrs = {epsilon: 1e-5};
  return [
    entry(names.RMSNorm, moved(2), () => ({x: matrix(), weight: vector()}), attrs),
    entry(names.AddRMSNorm, moved(4), () => ({x: matrix(), residual: matrix(), weight: vector()}), attrs),
    entry(
      names.RMSNormGrad,
      moved(4),
      () => ({dy: matrix(), x: matrix(), weight: vector(), dSum: matrix()}),
      attrs,
    ),
    entry(names.RMSNormWeightGrad, moved(2), () => ({dy: matrix(), x: matrix()}), attrs),
    entry(names.LayerNorm, moved(2), () => ({x: matrix(), gamma: vector(), beta: vector()}), attrs),
    entry(names.LayerNormGrad, moved(3), () => ({dy: matrix(), x: matrix(), gamma: vector()}), attrs),
    entry(names.LayerNormWeightGrad, moved(2), () => ({dy: matrix(), x: matrix()}), attrs),
  ];
}

function rotary({hidden, heads, batch, t, rows}: OpSizes): OpEntry[] {
  const pairs = hidden / heads / 2;
  return (['half', 'interleaved'] as const).map((pairing) => ({
    ...entry(
      names.RotaryEmbedding,
      {bytes: 8 * rows * hidden},
      () => ({x: operand(batch, t, hidden), cos: operand(t, pairs), sin: operand(t, pairs)}),
      {pairing, inverse: false},
    ),
    name: `${names.RotaryEmbedding}, ${pairing}`,
  }));
}

function gatedUnit({rows, ffn}: OpSizes): OpEntry[] {
  const matrix = () => operand(rows, ffn);
  const bytes = 4 * rows * ffn;
  const attrs = {activation: 'silu'};
  return [
    entry(names.GatedUnit, {bytes: 3 * bytes}, () => ({gate: matrix(), up: matrix()}), attrs),
    entry(
      names.GatedUnitGrad,
      {bytes: 5 * bytes},
      () => ({dy: matrix(), gate: matrix(), up: matrix()}),
      attrs,
    ),
  ];
}

function attention({hidden, heads, kvHeads, batch, t}: OpSizes): OpEntry[] {
  const headDim = hidden / heads;
  const attrs = {numHeads: heads, numKvHeads: kvHeads, scale: 1 / Math.sqrt(headDim)};
  const forward = 4 * batch * heads * (t ** 2 / 2) * headDim;
  const qkv = () => [hidden, kvHeads * headDim, kvHeads * headDim].map((width) => operand(batch, t, width));
  return [
    {
      name: names.CausalAttention,
      flops: forward,
      make: () => {
        const inputs = qkv();
        return () => runKernel<tf.Tensor[]>(names.CausalAttention, inputs, attrs);
      },
    },
    {
      name: names.CausalAttentionGrad,
      flops: 2.5 * forward,
      make: () => {
        const [q, k, v] = qkv();
        const [y, logSumExp] = runKernel<tf.Tensor[]>(names.CausalAttention, [q, k, v], attrs);
        const inputs = {dy: operand(batch, t, hidden), q, k, v, y, logSumExp};
        return () => runKernel<tf.Tensor[]>(names.CausalAttentionGrad, inputs, attrs);
      },
    },
  ];
}

export const transformerOps = (sizes: OpSizes): OpEntry[] => [
  ...norms(sizes),
  ...rotary(sizes),
  ...gatedUnit(sizes),
  ...attention(sizes),
];
