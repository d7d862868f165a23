import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import type {ApplyModel} from '../model/apply_model.ts';
import {crossEntropy} from '../ops/cross_entropy.ts';
import {IGNORED_LABEL, type TokenBatch} from './batches.ts';

/**
 * The mean loss of a batch, []. It runs the model through `apply`, which says whether this is training, and which blocks
 * are to be computed again in backward.
 */
export type BatchLoss<B extends object> = (batch: B, apply: ApplyModel) => tf.Scalar;

/**
 * What a causal language model takes: `ids`, and with two inputs also `segments`.
 * @throws Error for a batch with segments and a model that has no input for them.
 */
export function languageModelInputs(
  owner: string,
  model: LayersModel,
  {ids, segments}: Pick<TokenBatch, 'ids' | 'segments'>,
): tf.Tensor | tf.Tensor[] {
  if (model.inputs.length > 1) return [ids, segments ?? tf.zerosLike(ids)];
  if (!segments) return ids;
  throw new Error(
    `${owner}: the batch has texts packed into one row, but model ${model.name} has no second input for their segments; ` +
      'make the batches with pack: false',
  );
}

/**
 * The loss of a causal language model: mean cross-entropy, in nats, of the tokens that follow.
 * With a large vocabulary the logits are the largest tensor of a step: `linearCrossEntropy` does without them, in a loss of
 * your own that applies the model without its head.
 * @param model Of token ids, int32 [batch, t], and where texts are packed of their segments, int32 [batch, t], which its
 *   `CausalAttention` layers take → logits [batch, t, vocab].
 */
export function languageModelLoss(model: LayersModel): BatchLoss<TokenBatch> {
  return (batch, apply) => {
    const inputs = languageModelInputs('languageModelLoss', model, batch);
    return crossEntropy(apply(model, inputs), batch.labels, {ignoreLabel: IGNORED_LABEL});
  };
}
