import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {LoRAGradAttrs, LoRAGradInputs} from '../kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {tf32} from './products.ts';
import {asItLies} from './row_ops.ts';
import {runOp} from './run_op.ts';

export const loraGrad = (
  backend: TensorFlowBackend,
  {x, dy, loraX, loraB}: LoRAGradInputs,
  {scale}: LoRAGradAttrs,
): TensorInfo[] =>
  runOp(backend, {
    name: 'LoRAGrad',
    reals: [asItLies(backend, x), asItLies(backend, dy), loraX, loraB],
    counts: {tf32: tf32()},
    numbers: {scale},
    outputs: 3,
  });
