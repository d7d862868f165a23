import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {CELoRADense, crossEntropy, type LinearCrossEntropyArgs, linearCrossEntropy} from '../../src/index.ts';
import {LlamaTiedHead} from './layers.ts';

/** The label of a position that does not count: what follows it is padding. */
const NONE = -1;

/**
 * Mean cross-entropy, in nats, of the token that follows each position.
 *
 * @param logits [.., vocab]
 * @param labels int32 [..], the next token of each position (already shifted); a position whose label is
 *   negative does not count. If none counts the loss is 0.
 */
export function causalLoss(logits: tf.Tensor, labels: tf.Tensor): tf.Scalar {
  return crossEntropy(logits, labels, {ignoreLabel: NONE});
}

const bodies = new WeakMap<tfl.LayersModel, tfl.LayersModel>();

/** All of the model but its head. It shares the model's layers and must not be disposed. */
function bodyOf(model: tfl.LayersModel): tfl.LayersModel {
  const body = bodies.get(model);
  if (body) return body;
  const [hidden] = [model.getLayer('lm_head').input].flat();
  bodies.set(model, tfl.model({inputs: model.inputs, outputs: hidden!}));
  return bodies.get(model)!;
}

type Head = Pick<LinearCrossEntropyArgs, 'kernel' | 'transposed' | 'gradient'>;

/** The head's operands, as it is now; undefined for one with an adapter. */
function headOf(model: tfl.LayersModel): Head | undefined {
  const layer = model.getLayer('lm_head');
  if (layer instanceof LlamaTiedHead) {
    return {kernel: model.getLayer('model.embed_tokens').weights[0]!.read(), transposed: true};
  }
  if (!(layer instanceof CELoRADense)) return {kernel: layer.weights[0]!.read()};
  if (layer.config.rank > 0) return undefined;
  return {kernel: layer.baseVariables().kernel.read(), gradient: layer.gradient};
}

/**
 * The causal loss of a model of `buildLlama` without its logits: [batch, t, vocab] would be the largest tensor of a
 * training step by far.
 *
 * @param ids int32 [batch, t]
 * @param labels int32 [batch, t], as for `causalLoss`
 */
export function nextTokenLoss(
  model: tfl.LayersModel,
  ids: tf.Tensor,
  labels: tf.Tensor,
  {training = false} = {},
): tf.Scalar {
  return tf.tidy(() => {
    const head = headOf(model);
    if (!head) return causalLoss(model.apply(ids, {training}) as tf.Tensor, labels);
    const x = bodyOf(model).apply(ids, {training}) as tf.Tensor;
    return linearCrossEntropy({x, labels, ignoreLabel: NONE, ...head});
  });
}

/**
 * Inputs and labels [batch, length − 1] for next-token prediction; shorter windows are padded on the right.
 */
export function nextTokenBatch(windows: readonly ArrayLike<number>[]): {
  ids: tf.Tensor2D;
  labels: tf.Tensor2D;
} {
  const length = windows.reduce((longest, window) => Math.max(longest, window.length), 0) - 1;
  const ids = new Int32Array(windows.length * length);
  const labels = new Int32Array(windows.length * length).fill(NONE);
  for (const [row, window] of windows.entries()) {
    for (let i = 0; i + 1 < window.length; i++) {
      ids[row * length + i] = window[i]!;
      labels[row * length + i] = window[i + 1]!;
    }
  }
  const shape: [number, number] = [windows.length, length];
  return {ids: tf.tensor2d(ids, shape, 'int32'), labels: tf.tensor2d(labels, shape, 'int32')};
}

export interface EvaluateOptions {
  /** Windows a forward pass; default 8. */
  batchSize?: number;
  /** Called after every forward pass with the windows done so far, and all; awaited, so that it can end the evaluation. */
  onProgress?: (done: number, total: number) => void | Promise<void>;
}

/**
 * Mean cross-entropy, in nats per token, of a causal language model over windows of token ids: of each window
 * every token but the first is predicted.
 */
export async function evaluate(
  model: tfl.LayersModel,
  windows: readonly ArrayLike<number>[],
  {batchSize = 8, onProgress}: EvaluateOptions = {},
): Promise<number> {
  let sum = 0;
  let tokens = 0;
  for (let start = 0; start < windows.length; start += batchSize) {
    const batch = windows.slice(start, start + batchSize).filter((window) => window.length > 1);
    const count = batch.reduce((total, window) => total + window.length - 1, 0);
    if (count > 0) {
      const loss = tf.tidy(() => {
        const {ids, labels} = nextTokenBatch(batch);
        return nextTokenLoss(model, ids, labels);
      });
      try {
        sum += (await loss.data())[0]! * count;
      } finally {
        loss.dispose();
      }
      tokens += count;
    }
    await onProgress?.(Math.min(start + batchSize, windows.length), windows.length);
  }
  if (tokens === 0) throw new Error('evaluate: no window has two tokens or more');
  return sum / tokens;
}
