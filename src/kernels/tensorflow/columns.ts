import {clone, type Tensor, type TensorInfo} from '@tensorflow/tfjs-core';
import type {
  ColumnScoresAttrs,
  ColumnScoresInputs,
  PackColumnsAttrs,
  PackColumnsInputs,
  SelectColumnsAttrs,
  SelectColumnsInputs,
} from '../kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {packHalf, weightOperand} from './half.ts';
import {tf32} from './products.ts';
import {asItLies} from './row_ops.ts';
import {runSingle} from './run_op.ts';

export const columnScores = (
  backend: TensorFlowBackend,
  {dy, norms}: ColumnScoresInputs,
  {score}: ColumnScoresAttrs,
): TensorInfo =>
  score === 'weight'
    ? clone(norms)
    : runSingle(backend, {
        name: 'ColumnScores',
        reals: [asItLies(backend, dy), score === 'gradient' ? undefined : norms],
      });

export const selectColumns = (
  backend: TensorFlowBackend,
  {scores}: SelectColumnsInputs,
  {k}: SelectColumnsAttrs,
): TensorInfo => runSingle(backend, {name: 'SelectColumns', reals: [scores], counts: {k}});

/** The layout is [R[:,I] | A₀ | room for an adapter], so that the approximated gradient is one product, of the exact one's form. */
export function packColumns(
  backend: TensorFlowBackend,
  {kernel, indices, frozenA, frozenB}: PackColumnsInputs,
  {transposed, half}: PackColumnsAttrs,
): TensorInfo {
  const {real, words, counts} = weightOperand(kernel, {half});
  const x = runSingle(backend, {
    name: 'PackColumns',
    reals: [real, ...(frozenA && frozenB ? [frozenA, frozenB] : [])],
    integers: [indices, words],
    counts: {transposed, tf32: tf32(), ...counts},
  });
  if (!half) return x;
  const packed = packHalf(backend, {x: x as Tensor}, half);
  backend.disposeData(x.dataId);
  return packed;
}
