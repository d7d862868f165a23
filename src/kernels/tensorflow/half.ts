import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {
  HalfFormat,
  HalfLayout,
  PackHalfAttrs,
  PackHalfInputs,
  UnpackHalfInputs,
  WeightAttrs,
} from '../kernel_names.ts';
import type {EmbeddingLookupAttrs, EmbeddingLookupInputs} from '../training_kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {type Op, runSingle} from './run_op.ts';

const PRECISIONS: (HalfFormat | undefined)[] = [undefined, 'float16', 'bfloat16'];

/** A frozen matrix among the inputs and attributes of an op: a float32 input, or at half precision its last int32 one. */
export function weightOperand(
  tensor: TensorInfo,
  {half}: WeightAttrs,
): {real: TensorInfo | undefined; words: TensorInfo | undefined; counts: NonNullable<Op['counts']>} {
  const counts = {precision: PRECISIONS.indexOf(half?.format), columns: half?.columns ?? 0};
  return half ? {real: undefined, words: tensor, counts} : {real: tensor, words: undefined, counts};
}

const brain = (format: HalfFormat) => format === 'bfloat16';

/** On the device, since tfjs leaves integers that come from JavaScript on the host, and would send them at every use. */
export const packHalf = (
  backend: TensorFlowBackend,
  {x}: PackHalfInputs,
  {format}: PackHalfAttrs,
): TensorInfo => runSingle(backend, {name: 'PackHalf', reals: [x], counts: {brain: brain(format)}});

export const unpackHalf = (
  backend: TensorFlowBackend,
  {words}: UnpackHalfInputs,
  {format, columns}: HalfLayout,
): TensorInfo =>
  runSingle(backend, {name: 'UnpackHalf', integers: [words], counts: {brain: brain(format), columns}});

/** Of a table at half precision; the stock op serves for others. */
export function lookUpHalf(
  backend: TensorFlowBackend,
  {table, ids}: EmbeddingLookupInputs,
  {half}: EmbeddingLookupAttrs,
): TensorInfo {
  const {format, columns} = half!;
  return runSingle(backend, {
    name: 'LookupHalf',
    integers: [ids, table],
    counts: {brain: brain(format), columns},
  });
}
