import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PackTensorsInputs, UnpackTensorsAttrs, UnpackTensorsInputs} from '../training_kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {runOp, runSingle} from './run_op.ts';

export const packTensors = (backend: TensorFlowBackend, tensors: PackTensorsInputs): TensorInfo =>
  runSingle(backend, {name: 'PackTensors', reals: Object.values(tensors)});

export const unpackTensors = (
  backend: TensorFlowBackend,
  {flat}: UnpackTensorsInputs,
  {shapes}: UnpackTensorsAttrs,
): TensorInfo[] =>
  runOp(backend, {
    name: 'UnpackTensors',
    reals: [flat],
    // of each its rank and its sides
    counts: {K: shapes.length, shapes: shapes.flatMap((shape) => [shape.length, ...shape])},
    outputs: shapes.length,
  });
