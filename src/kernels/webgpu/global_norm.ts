import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {GlobalNormAttrs, GlobalNormInputs} from '../training_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {rowSquares} from './row_squares.ts';
import * as shaders from './shaders.ts';

/** Parts summed on their own: enough for a GPU, and few for the one workgroup that adds them up. */
const PARTS = 1024;
/** Each of at least so many numbers: 4 vec4s a thread. */
const LEAST_LENGTH = 4096;

export function globalNorm(
  backend: WebGPUBackend,
  {flat}: GlobalNormInputs,
  {maxNorm}: GlobalNormAttrs,
): TensorInfo[] {
  const size = util.sizeFromShape(flat.shape);
  const length = Math.max(LEAST_LENGTH, 4 * Math.ceil(size / PARTS / 4));
  const squares = rowSquares(backend, {label: 'GlobalNormParts', x: flat, size, length, root: false});
  const outputs = ['norm', 'scale'].map((name) => ({name, tensor: backend.makeTensorInfo([], 'float32')}));
  dispatch(backend, {
    label: 'GlobalNorm',
    source: () => [shaders.reduce_group, shaders.global_norm].join('\n'),
    specialization: {},
    outputs,
    inputs: [{name: 'squares', tensor: squares}],
    uniforms: {size: squares.shape[0]!},
    floats: {maxNorm},
    workgroups: [1, 1, 1],
  });
  backend.disposeData(squares.dataId);
  return outputs.map(({tensor}) => tensor);
}
