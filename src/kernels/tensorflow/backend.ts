import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';

/** What tfjs-node's binding, a native addon, lets one do with TensorFlow. A tensor there is a number, its handle. */
export interface TensorFlowBinding {
  TF_Version: string;
  TF_ATTR_BOOL: number;
  TF_ATTR_INT: number;
  TF_ATTR_STRING: number;
  TF_ATTR_TYPE: number;
  TF_INT32: number;
  TF_STRING: number;
  createTensor(shape: number[], dtype: number, values: TensorFlowData['values']): number;
  deleteTensor(handle: number): void;
  executeOp(name: string, attrs: OpAttr[], inputs: number[], outputs: number): TensorFlowOutput[];
}

/** A result of an op. */
export interface TensorFlowOutput {
  id: number;
  shape: number[];
  dtype: number;
}

export interface OpAttr {
  name: string;
  type: number;
  value: number | string | boolean;
}

/** What the backend keeps of a tensor's data. */
export interface TensorFlowData {
  /** The shape of the handle, or the one that it is to get. */
  shape: number[];
  /** TensorFlow's number for it. */
  dtype: number;
  /** The handle; -1 while there is none. */
  id: number;
  /** The numbers, until an op takes them; then null. */
  values: Float32Array | Int32Array | Uint8Array | Uint8Array[] | null;
  refCount: number;
}

/** What we use of tfjs-node's NodeJSKernelBackend. */
export interface TensorFlowBackend extends KernelBackend {
  binding: TensorFlowBinding;
  isUsingGpuDevice: boolean;
  tensorMap: {has(dataId: object): boolean; get(dataId: object): TensorFlowData};
  executeMultipleOutputs(name: string, attrs: OpAttr[], inputs: TensorInfo[], outputs: number): TensorInfo[];
  executeSingleOutput(name: string, attrs: OpAttr[], inputs: TensorInfo[]): TensorInfo;
  createOutputTensor(output: TensorFlowOutput): TensorInfo;
  /** The handles of an op's inputs. */
  getInputTensorIds(inputs: TensorInfo[]): number[];
  disposeData(dataId: object, force?: boolean): boolean;
  incRef(dataId: object): void;
}
