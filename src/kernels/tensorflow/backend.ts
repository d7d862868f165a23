import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';

/** What we use of tfjs-node's NodeJSKernelBackend. */
export interface TensorFlowBackend extends KernelBackend {
  binding: {TF_Version: string; TF_ATTR_INT: number; TF_ATTR_FLOAT: number};
  isUsingGpuDevice: boolean;
  executeMultipleOutputs(
    name: string,
    attrs: {name: string; type: number; value: number | number[]}[],
    inputs: TensorInfo[],
    outputs: number,
  ): TensorInfo[];
}
