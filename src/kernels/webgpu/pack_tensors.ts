import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {PackTensorsInputs, UnpackTensorsAttrs, UnpackTensorsInputs} from '../training_kernel_names.ts';
import type {WebGPUBackend} from './backend.ts';
import {copy} from './dispatch.ts';

/** Each tensor with its size and where it starts in a vector of them all. */
function inARow(tensors: readonly TensorInfo[]) {
  let end = 0;
  return tensors.map((tensor) => {
    const [start, size] = [end, util.sizeFromShape(tensor.shape)];
    end += size;
    return {tensor, start, size};
  });
}

export function packTensors(backend: WebGPUBackend, tensors: PackTensorsInputs): TensorInfo {
  const parts = inARow(tensors);
  const {start, size} = parts.at(-1)!;
  const flat = backend.makeTensorInfo([start + size], 'float32');
  copy(
    backend,
    'PackTensors',
    parts.map(({tensor, start, size}) => ({from: tensor, to: flat, toStart: start, size})),
  );
  return flat;
}

export function unpackTensors(
  backend: WebGPUBackend,
  {flat}: UnpackTensorsInputs,
  {shapes}: UnpackTensorsAttrs,
): TensorInfo[] {
  const tensors = shapes.map((shape) => backend.makeTensorInfo(shape, 'float32'));
  copy(
    backend,
    'UnpackTensors',
    inARow(tensors).map(({tensor, start, size}) => ({from: flat, fromStart: start, to: tensor, size})),
  );
  return tensors;
}
