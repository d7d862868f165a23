import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {FusedActivation} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid} from './grid.ts';
import * as shaders from './shaders.ts';
import {tuned} from './tuning.ts';

/**
 * Into how many parts the depth of a product of so many tiles is cut, and how long each is, a multiple of `slice`: as many as
 * the tuning aims at, but none shorter than it allows.
 */
export function cutDepth(depth: number, slice: number, tiles: number): {part: number; parts: number} {
  const workgroups = tuned('CELORA_CUT_WORKGROUPS');
  const leastDepth = tuned('CELORA_CUT_LEAST_DEPTH');
  const wanted = Math.max(1, Math.min(Math.floor(depth / leastDepth), Math.round(workgroups / tiles)));
  const part = Math.ceil(Math.max(1, depth) / wanted / slice) * slice;
  return {part, parts: Math.max(1, Math.ceil(depth / part))};
}

interface Parts {
  label: string;
  /** [count, size]. */
  parts: TensorInfo;
  count: number;
  size: number;
  /** The square root of the sum, times these [size] where they are given. */
  root?: {factors: TensorInfo | undefined};
  /** What is left of a product [m, n]: activation(sum + bias). */
  finish?: {n: number; bias: TensorInfo | undefined; activation: FusedActivation};
}

export function sumParts(backend: WebGPUBackend, sum: Parts, output: TensorInfo): void {
  const {label, parts, count, size, root, finish} = sum;
  const factors = root?.factors;
  const bias = finish?.bias;
  dispatch(backend, {
    label,
    source: () => [shaders.activation, shaders.sum_parts].join('\n'),
    specialization: {
      ROOT: root !== undefined,
      FACTORS: factors !== undefined,
      BIAS: bias !== undefined,
      RELU: finish?.activation === 'relu',
      ELU: finish?.activation === 'elu',
    },
    outputs: [{name: 'out', tensor: output}],
    inputs: [
      {name: 'parts', tensor: parts},
      ...(factors ? [{name: 'factors', tensor: factors}] : []),
      ...(bias ? [{name: 'bias', tensor: bias}] : []),
    ],
    uniforms: {size, parts: count, n: finish?.n ?? 0},
    workgroups: grid(backend, Math.ceil(size / 64)),
  });
}
