import type {Tensor} from '@tensorflow/tfjs-core';
import type {WeightAttrs} from './kernel_names.ts';

/**
 * The kernels of a training step at both ends of a model: loss, embedding, optimizer; as kernel_names.ts has those of
 * the adapters.
 *
 * Shapes: N rows (tokens) of d numbers, V classes (the vocabulary), n numbers in all variables together.
 */

/**
 * [labels int32 [N], scale []]: −1 for every label that does not count (equal to ignoreLabel, negative, V or more), and
 * 1 / max(1, labels that count), what the mean over them multiplies by.
 */
export const CountLabels = 'CountLabels';
export interface CountLabelsInputs {
  /** int32 [N]. */
  labels: Tensor;
}
export interface CountLabelsAttrs {
  /** V. */
  classes: number;
  ignoreLabel: number;
}

/**
 * [losses [N], top [N], total [N]]: the largest logit of each row, Σ exp(logits − top), and the row's loss
 * log total + top − logit of the label; loss 0 for a label of −1.
 */
export const CrossEntropy = 'CrossEntropy';
export interface CrossEntropyInputs {
  /** [N, V]. */
  logits: Tensor;
  /** int32 [N], each −1 … V − 1. */
  labels: Tensor;
}

/** scale · (exp(logits − top) / total − 1 at the label), a row of 0 for a label of −1, [N, V]. */
export const CrossEntropyGrad = 'CrossEntropyGrad';
export interface CrossEntropyGradInputs extends CrossEntropyInputs {
  /** [N]. */
  top: Tensor;
  /** [N]. */
  total: Tensor;
  /** []. */
  scale: Tensor;
}

/** The tape's node of a cross-entropy that was computed beside the tape: the loss itself, []. */
export const CrossEntropyLoss = 'CrossEntropyLoss';
export interface CrossEntropyLossInputs extends CrossEntropyGradInputs {
  /** []. */
  loss: Tensor;
}

/** The tape's node that gives a value a gradient computed beforehand: the value itself, []. */
export const AttachGradient = 'AttachGradient';
export interface AttachGradientInputs {
  /** []. */
  value: Tensor;
  /** What the value depends on. */
  input: Tensor;
  /** d value / d input, of input's shape. */
  gradient: Tensor;
}

/** Rows of a table, [N, d]. */
export const EmbeddingLookup = 'EmbeddingLookup';
export interface EmbeddingLookupInputs {
  /** [V, d]. */
  table: Tensor;
  /** int32 [N], each 0 … V − 1. */
  ids: Tensor;
}
export interface EmbeddingLookupAttrs extends WeightAttrs {
  /** V. */
  classes: number;
}

/** The sum of dy's rows of each id, [V, d]; attributes as of EmbeddingLookup. */
export const EmbeddingGrad = 'EmbeddingGrad';
export interface EmbeddingGradInputs {
  /** [N, d]. */
  dy: Tensor;
  /** int32 [N]. */
  ids: Tensor;
}

/** [norm [], scale []]: √Σ flat², and what clips it: 1 if norm ≤ maxNorm, else maxNorm / norm (NaN for NaN). */
export const GlobalNorm = 'GlobalNorm';
export interface GlobalNormInputs {
  /** [n]. */
  flat: Tensor;
}
export interface GlobalNormAttrs {
  maxNorm: number;
}

/** [params, m, v] after a step, [n] each; see AdamW. */
export const AdamWStep = 'AdamWStep';
export interface AdamWStepInputs {
  /** [n]. */
  params: Tensor;
  /** [n]. */
  grads: Tensor;
  /** [n]. */
  m: Tensor;
  /** [n]. */
  v: Tensor;
  /** [], multiplies grads; absent = 1. */
  scale?: Tensor;
}
export interface AdamWStepAttrs {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  /** The first so many params decay, the others do not. */
  decayed: number;
  /** Number of this step, from 1: what the moments are divided by is 1 − βᵗ. */
  step: number;
}

/** Tensors flattened, one behind the other, [n]. */
export const PackTensors = 'PackTensors';
/** At least one. */
export type PackTensorsInputs = Tensor[];

/** A vector cut into tensors of these shapes, in order: the opposite of PackTensors. */
export const UnpackTensors = 'UnpackTensors';
export interface UnpackTensorsInputs {
  /** [n]. */
  flat: Tensor;
}
export interface UnpackTensorsAttrs {
  shapes: number[][];
}
