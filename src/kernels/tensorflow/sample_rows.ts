import {type TensorInfo, tensor1d} from '@tensorflow/tfjs-core';
import type {SampleRowsAttrs, SampleRowsInputs} from '../kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {runOp} from './run_op.ts';

export function sampleRows(
  backend: TensorFlowBackend,
  {dy}: SampleRowsInputs,
  {rows, offset}: SampleRowsAttrs,
): TensorInfo[] {
  const drawn = tensor1d([offset]);
  const sample = runOp(backend, {name: 'SampleRows', reals: [dy, drawn], counts: {rows}, outputs: 2});
  drawn.dispose();
  return sample;
}
