import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {GlobalNormAttrs, GlobalNormInputs} from '../training_kernel_names.ts';
import type {
  GatedUnitAttrs,
  GatedUnitGradInputs,
  GatedUnitInputs,
  RotaryEmbeddingAttrs,
  RotaryEmbeddingInputs,
} from '../transformer_kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {asItLies} from './row_ops.ts';
import {runOp, runSingle} from './run_op.ts';

export const gatedUnit = (
  backend: TensorFlowBackend,
  {gate, up}: GatedUnitInputs,
  {activation}: GatedUnitAttrs,
): TensorInfo =>
  runSingle(backend, {
    name: 'GatedUnit',
    reals: [gate, up],
    counts: {gelu: activation === 'gelu'},
    ofRows: true,
  });

export const gatedUnitGrad = (
  backend: TensorFlowBackend,
  {dy, gate, up}: GatedUnitGradInputs,
  {activation}: GatedUnitAttrs,
): TensorInfo[] =>
  runOp(backend, {
    name: 'GatedUnitGrad',
    reals: [dy, gate, up],
    counts: {gelu: activation === 'gelu'},
    outputs: 2,
    ofRows: true,
  });

export const rotaryEmbedding = (
  backend: TensorFlowBackend,
  {x, cos, sin}: RotaryEmbeddingInputs,
  {pairing, inverse}: RotaryEmbeddingAttrs,
): TensorInfo =>
  runSingle(backend, {
    name: 'RotaryEmbedding',
    reals: [asItLies(backend, x), cos, sin],
    counts: {interleaved: pairing === 'interleaved', inverse},
    shapes: [x.shape],
  });

export const globalNorm = (
  backend: TensorFlowBackend,
  {flat}: GlobalNormInputs,
  {maxNorm}: GlobalNormAttrs,
): TensorInfo[] => runOp(backend, {name: 'GlobalNorm', reals: [flat], numbers: {maxNorm}, outputs: 2});
