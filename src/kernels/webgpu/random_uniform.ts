import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import {BLOCK, roundKeys} from '../counter_hash.ts';
import type {DeviceRandomUniformAttrs, DropoutMaskAttrs} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid} from './grid.ts';
import * as shaders from './shaders.ts';

/** The numbers, or with `mask` what they decide; one pass for each block of 2²⁴. */
function draw(
  backend: WebGPUBackend,
  label: string,
  {shape, seed}: DeviceRandomUniformAttrs,
  mask?: {keep: number; kept: number},
): TensorInfo {
  const all = util.sizeFromShape(shape);
  if (all === 0) return backend.makeTensorInfo(shape, 'float32', new Float32Array(0));
  const values = backend.makeTensorInfo(shape, 'float32');
  for (let start = 0; start < all; start += BLOCK) {
    const size = Math.min(BLOCK, all - start);
    const keys = roundKeys(seed, start / BLOCK).map((key, i) => [`key${i}`, key]);
    dispatch(backend, {
      label,
      source: shaders.random_uniform,
      specialization: {MASK: mask !== undefined},
      outputs: [{name: 'values', tensor: values}],
      inputs: [],
      uniforms: {start, size, ...Object.fromEntries(keys)},
      floats: {...mask},
      passing: true,
      workgroups: grid(backend, Math.ceil(size / 256)),
    });
  }
  return values;
}

export const deviceRandomUniform = (
  backend: WebGPUBackend,
  _: object,
  attrs: DeviceRandomUniformAttrs,
): TensorInfo => draw(backend, 'DeviceRandomUniform', attrs);

export const dropoutMask = (
  backend: WebGPUBackend,
  _: object,
  {rate, ...attrs}: DropoutMaskAttrs,
): TensorInfo => draw(backend, 'DropoutMask', attrs, {keep: 1 - rate, kept: 1 / (1 - rate)});
