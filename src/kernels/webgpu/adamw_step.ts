import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {AdamWStepAttrs, AdamWStepInputs} from '../training_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {type Binding, dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import * as shaders from './shaders.ts';

export function adamWStep(
  backend: WebGPUBackend,
  {params, grads, m, v, scale}: AdamWStepInputs,
  {learningRate, beta1, beta2, epsilon, weightDecay, decayed, step}: AdamWStepAttrs,
): TensorInfo[] {
  const {vec4, width, type} = rowsOf(util.sizeFromShape(params.shape));
  const outputs = ['newParams', 'newM', 'newV'].map((name) => ({
    name,
    tensor: backend.makeTensorInfo(params.shape, 'float32'),
    type,
  }));
  const inputs: Binding[] = Object.entries({params, grads, m, v}).map(([name, tensor]) => ({
    name,
    tensor,
    type,
  }));
  if (scale) inputs.push({name: 'scale', tensor: scale});
  dispatch(backend, {
    label: 'AdamWStep',
    source: shaders.adamw_step,
    specialization: {VEC4: vec4, SCALED: scale !== undefined},
    outputs,
    inputs,
    uniforms: {size: width, decayed},
    floats: {
      share1: 1 - beta1,
      beta2,
      share2: 1 - beta2,
      epsilon,
      kept: 1 - learningRate * weightDecay,
      rate: learningRate / (1 - beta1 ** step),
      rootFactor: 1 / Math.sqrt(1 - beta2 ** step),
    },
    passing: true,
    workgroups: grid(backend, Math.ceil(width / 64)),
  });
  return outputs.map(({tensor}) => tensor);
}
