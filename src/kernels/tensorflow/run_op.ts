import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {TensorFlowBackend} from './backend.ts';

/** One of the ops of kernels/cuda, and what it is given. */
export interface Op {
  /** Without the prefix that all have. */
  name: string;
  /** The float32 inputs, absent ones left out, or undefined. */
  reals?: readonly (TensorInfo | undefined)[];
  /** The int32 ones. */
  integers?: readonly (TensorInfo | undefined)[];
  /**
   * Integer attributes. TensorFlow makes and keeps a kernel for every new set of attributes: what changes from step to
   * step must be an input.
   */
  counts?: Record<string, number | boolean | number[]>;
  /** Float32 attributes. */
  numbers?: Record<string, number>;
  /** How many outputs it has. */
  outputs?: number;
}

let prefix: string | undefined;

/** Says with what the names of our ops begin: the addon's `prefix`. */
export function useOps(namesBeginWith: string): void {
  prefix = namesBeginWith;
}

const present = (tensors: Op['reals'] = []) => tensors.filter((tensor) => tensor !== undefined);

/** Runs one of our ops. @throws Error, in which the op says what does not fit. */
export function runOp(backend: TensorFlowBackend, op: Op): TensorInfo[] {
  const [reals, integers] = [present(op.reals), present(op.integers)];
  const {TF_ATTR_INT, TF_ATTR_FLOAT} = backend.binding;
  const counts = {N: reals.length, M: integers.length, ...op.counts};
  const attrs = [
    ...Object.entries(counts).map(([name, value]) => ({
      name,
      type: TF_ATTR_INT,
      value: typeof value === 'boolean' ? Number(value) : value,
    })),
    ...Object.entries(op.numbers ?? {}).map(([name, value]) => ({name, type: TF_ATTR_FLOAT, value})),
  ];
  return backend.executeMultipleOutputs(prefix + op.name, attrs, [...reals, ...integers], op.outputs ?? 1);
}

/** The same of an op with one output. */
export const runSingle = (backend: TensorFlowBackend, op: Op): TensorInfo => runOp(backend, op)[0]!;
