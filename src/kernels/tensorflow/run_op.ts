import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {OpAttr, TensorFlowBackend} from './backend.ts';
import {runOnRows, tensorOf} from './row_ops.ts';

/** One of the ops of kernels/cuda, and what it is given. */
export interface Op {
  /** Without the prefix that all have. */
  name: string;
  /** The float32 inputs, absent ones left out, or undefined. */
  reals?: readonly (TensorInfo | undefined)[];
  /** The int32 ones. */
  integers?: readonly (TensorInfo | undefined)[];
  /**
   * Integer attributes; K is how many outputs an op of any number has. TensorFlow makes and keeps a kernel for every new
   * set of attributes: what changes from step to step must be an input.
   */
  counts?: Record<string, number | boolean | number[]>;
  /** Float32 attributes. */
  numbers?: Record<string, number>;
  /** How many outputs it has. */
  outputs?: number;
  /** The shapes of its outputs, where it gives them in the shapes in which its inputs lie. */
  shapes?: number[][];
  /** It treats rows by themselves, and its outputs have the shape of its inputs of rank 2 and more, which is one. */
  ofRows?: boolean;
}

let prefix: string | undefined;

/** Says with what the names of our ops begin: the addon's `prefix`. */
export function useOps(namesBeginWith: string): void {
  prefix = namesBeginWith;
}

const present = (tensors: Op['reals'] = []) => tensors.filter((tensor) => tensor !== undefined);

/** All attributes in one: every attribute of TensorFlow's costs a microsecond in each call. */
const textOf = (settings: Record<string, number | boolean | number[]>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${typeof value === 'boolean' ? Number(value) : value}`)
    .join(';');

/** Runs one of our ops. @throws Error, in which the op says what does not fit. */
export function runOp(backend: TensorFlowBackend, op: Op): TensorInfo[] {
  const [reals, integers] = [present(op.reals), present(op.integers)];
  const {TF_ATTR_INT, TF_ATTR_STRING} = backend.binding;
  const {K, ...settings} = {...op.counts, ...op.numbers};
  const attrs: OpAttr[] = [{name: 'N', type: TF_ATTR_INT, value: reals.length}];
  if (integers.length > 0) attrs.push({name: 'M', type: TF_ATTR_INT, value: integers.length});
  if (K !== undefined) attrs.push({name: 'K', type: TF_ATTR_INT, value: Number(K)});
  attrs.push({name: 'settings', type: TF_ATTR_STRING, value: textOf(settings)});
  const inputs = [...reals, ...integers];
  const [name, outputs, {shapes}] = [prefix + op.name, op.outputs ?? 1, op];
  if (op.ofRows) return runOnRows(backend, name, attrs, inputs, outputs);
  if (shapes === undefined) return backend.executeMultipleOutputs(name, attrs, inputs, outputs);
  const made = backend.binding.executeOp(name, attrs, backend.getInputTensorIds(inputs), outputs);
  return made.map((output, i) => tensorOf(backend, output, shapes[i]!));
}

/** The same of an op with one output. */
export const runSingle = (backend: TensorFlowBackend, op: Op): TensorInfo => runOp(backend, op)[0]!;
