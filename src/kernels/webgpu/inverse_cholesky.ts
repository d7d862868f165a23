import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {InverseCholeskyInputs} from '../kernel_names.ts';
import {LEAST_LEFT} from '../portable/inverse_cholesky.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import * as shaders from './shaders.ts';

export function inverseCholesky(backend: WebGPUBackend, {gram}: InverseCholeskyInputs): TensorInfo {
  const output = backend.makeTensorInfo(gram.shape, 'float32');
  dispatch(backend, {
    label: 'InverseCholesky',
    source: shaders.inverse_cholesky,
    specialization: {},
    outputs: [{name: 'inverse', tensor: output}],
    inputs: [{name: 'gram', tensor: gram}],
    uniforms: {size: gram.shape[0]!},
    floats: {leastLeft: LEAST_LEFT},
    workgroups: [1, 1, 1],
  });
  return output;
}
