import {type TensorInfo, tensor1d} from '@tensorflow/tfjs-core';
import type {AdamWStepAttrs, AdamWStepInputs} from '../training_kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {runOp} from './run_op.ts';

export function adamWStep(
  backend: TensorFlowBackend,
  {params, grads, m, v, scale}: AdamWStepInputs,
  {learningRate, beta1, beta2, epsilon, weightDecay, decayed, step}: AdamWStepAttrs,
): TensorInfo[] {
  const rate = learningRate / (1 - beta1 ** step);
  const changing = tensor1d([rate, 1 / Math.sqrt(1 - beta2 ** step), 1 - learningRate * weightDecay]);
  const stepped = runOp(backend, {
    name: 'AdamWStep',
    reals: [params, grads, m, v, changing, scale],
    counts: {decayed},
    numbers: {share1: 1 - beta1, beta2, share2: 1 - beta2, epsilon},
    outputs: 3,
  });
  changing.dispose();
  return stepped;
}
