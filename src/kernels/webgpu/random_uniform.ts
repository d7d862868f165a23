import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import {BLOCK, roundKeys} from '../counter_hash.ts';
import type {DeviceRandomUniformAttrs} from '../kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid} from './grid.ts';
import * as shaders from './shaders.ts';

/** One pass for each block of 2²⁴ numbers. */
export function deviceRandomUniform(
  backend: WebGPUBackend,
  _: object,
  {shape, seed}: DeviceRandomUniformAttrs,
): TensorInfo {
  const all = util.sizeFromShape(shape);
  if (all === 0) return backend.makeTensorInfo(shape, 'float32', new Float32Array(0));
  const values = backend.makeTensorInfo(shape, 'float32');
  for (let start = 0; start < all; start += BLOCK) {
    const size = Math.min(BLOCK, all - start);
    const keys = roundKeys(seed, start / BLOCK).map((key, i) => [`key${i}`, key]);
    dispatch(backend, {
      label: 'DeviceRandomUniform',
      source: shaders.random_uniform,
      specialization: {},
      outputs: [{name: 'values', tensor: values}],
      inputs: [],
      uniforms: {start, size, ...Object.fromEntries(keys)},
      passing: true,
      workgroups: grid(backend, Math.ceil(size / 256)),
    });
  }
  return values;
}
