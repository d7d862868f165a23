import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {
  CountLabelsAttrs,
  CountLabelsInputs,
  CrossEntropyGradInputs,
  CrossEntropyInputs,
} from '../training_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {dispatch} from './dispatch.ts';
import {grid, rowsOf} from './grid.ts';
import * as shaders from './shaders.ts';

export function countLabels(
  backend: WebGPUBackend,
  {labels}: CountLabelsInputs,
  {classes, ignoreLabel}: CountLabelsAttrs,
): TensorInfo[] {
  const counted = backend.makeTensorInfo(labels.shape, 'int32');
  const scale = backend.makeTensorInfo([], 'float32');
  dispatch(backend, {
    label: 'CountLabels',
    source: () => [shaders.reduce_group, shaders.count_labels].join('\n'),
    specialization: {},
    outputs: [
      {name: 'counted', tensor: counted, type: 'i32'},
      {name: 'scale', tensor: scale},
    ],
    inputs: [{name: 'labels', tensor: labels, type: 'i32'}],
    uniforms: {size: labels.shape[0]!, classes, ignored: ignoreLabel},
    workgroups: [1, 1, 1],
  });
  return [counted, scale];
}

export function crossEntropy(backend: WebGPUBackend, {logits, labels}: CrossEntropyInputs): TensorInfo[] {
  const [rows, classes] = logits.shape as [number, number];
  const {vec4, width, type} = rowsOf(classes);
  const outputs = ['losses', 'top', 'total'].map((name) => ({
    name,
    tensor: backend.makeTensorInfo([rows], 'float32'),
  }));
  dispatch(backend, {
    label: 'CrossEntropy',
    source: () => [shaders.reduce_group, shaders.cross_entropy].join('\n'),
    specialization: {VEC4: vec4},
    outputs,
    inputs: [
      {name: 'logits', tensor: logits, type},
      {name: 'labels', tensor: labels, type: 'i32'},
    ],
    uniforms: {rows, width},
    workgroups: grid(backend, rows),
  });
  return outputs.map(({tensor}) => tensor);
}

export function crossEntropyGrad(
  backend: WebGPUBackend,
  {logits, labels, top, total, scale}: CrossEntropyGradInputs,
): TensorInfo {
  const [rows, classes] = logits.shape as [number, number];
  const {vec4, width, type} = rowsOf(classes);
  const gradient = backend.makeTensorInfo([rows, classes], 'float32');
  dispatch(backend, {
    label: 'CrossEntropyGrad',
    source: shaders.cross_entropy_grad,
    specialization: {VEC4: vec4},
    outputs: [{name: 'gradient', tensor: gradient, type}],
    inputs: [
      {name: 'logits', tensor: logits, type},
      {name: 'labels', tensor: labels, type: 'i32'},
      {name: 'top', tensor: top},
      {name: 'total', tensor: total},
      {name: 'scale', tensor: scale},
    ],
    uniforms: {rows, width},
    workgroups: grid(backend, rows),
  });
  return gradient;
}
