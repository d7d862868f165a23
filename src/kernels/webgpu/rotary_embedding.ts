import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {RotaryEmbeddingAttrs, RotaryEmbeddingInputs} from '../transformer_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import * as shaders from './shaders.ts';

export function rotaryEmbedding(
  backend: WebGPUBackend,
  {x, cos, sin}: RotaryEmbeddingInputs,
  {pairing, inverse}: RotaryEmbeddingAttrs,
): TensorInfo {
  const [, t, numbers] = x.shape as [number, number, number];
  const {vec4, width: pairs, type} = rowsOf(cos.shape[1]!);
  const interleaved = pairing === 'interleaved';
  const size = util.sizeFromShape(x.shape) / (vec4 ? 8 : 2);
  const output = backend.makeTensorInfo(x.shape, 'float32');
  dispatch(backend, {
    label: 'RotaryEmbedding',
    source: shaders.rotary_embedding,
    specialization: {INTERLEAVED: interleaved, REGROUP: interleaved && vec4},
    outputs: [{name: 'y', tensor: output, type}],
    inputs: [
      {name: 'x', tensor: x, type},
      {name: 'cosines', tensor: cos, type},
      {name: 'sines', tensor: sin, type},
    ],
    uniforms: {size, t, pairs, heads: numbers / (2 * cos.shape[1]!)},
    floats: {sign: inverse ? -1 : 1},
    workgroups: grid(backend, Math.ceil(size / 64)),
  });
  return output;
}
