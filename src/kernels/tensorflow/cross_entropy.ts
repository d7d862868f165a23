import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {
  CountLabelsAttrs,
  CountLabelsInputs,
  CrossEntropyGradInputs,
  CrossEntropyInputs,
} from '../training_kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {runOp, runSingle} from './run_op.ts';

export const countLabels = (
  backend: TensorFlowBackend,
  {labels}: CountLabelsInputs,
  {classes, ignoreLabel}: CountLabelsAttrs,
): TensorInfo[] =>
  runOp(backend, {
    name: 'CountLabels',
    integers: [labels],
    counts: {classes, ignored: ignoreLabel},
    outputs: 2,
  });

export const crossEntropy = (
  backend: TensorFlowBackend,
  {logits, labels}: CrossEntropyInputs,
): TensorInfo[] => runOp(backend, {name: 'CrossEntropy', reals: [logits], integers: [labels], outputs: 3});

export const crossEntropyGrad = (
  backend: TensorFlowBackend,
  {logits, labels, top, total, scale}: CrossEntropyGradInputs,
): TensorInfo =>
  runSingle(backend, {name: 'CrossEntropyGrad', reals: [logits, top, total, scale], integers: [labels]});
