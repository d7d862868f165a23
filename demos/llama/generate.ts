import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {randomStream} from '../../src/random.ts';
import {languageModelInputs} from '../../src/train/loss.ts';

export interface GenerateOptions {
  /** Default 64. */
  maxNewTokens?: number;
  /**
   * 0 (default) takes the likeliest token each time; above, logits are divided by it and a token is drawn.
   */
  temperature?: number;
  /** Draws among the likeliest tokens whose probabilities reach this sum, 0 < topP ≤ 1. Default 1: all. */
  topP?: number;
  /** Of the draws. Default 0. */
  seed?: number;
  /** Tokens that end the text; they are not part of the result. */
  eosIds?: readonly number[];
  /** Longest sequence the model takes, in tokens: generation ends there. */
  maxPositions: number;
  /** Called with every new token. */
  onToken?: (id: number) => void;
  /** Ends generation early; what there is so far is returned. */
  signal?: AbortSignal;
}

/**
 * Sequences are padded to a multiple of this many tokens, so that shapes (buffers, tables, shaders) are
 * reused.
 */
const BUCKET = 32;

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/**
 * Draws an index from softmax(logits / temperature), restricted to the likeliest whose probabilities reach
 * topP.
 */
export function sample(
  logits: Float32Array,
  temperature: number,
  topP: number,
  random: () => number,
): number {
  const top = logits[likeliest(logits)]!;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - top) / temperature));
  const order = topP < 1 ? weights.map((_, i) => i).sort((a, b) => weights[b]! - weights[a]!) : undefined;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let kept = total;
  let size = weights.length;
  if (order) {
    kept = 0;
    for (size = 0; size < order.length && kept < topP * total; size++) kept += weights[order[size]!]!;
  }
  let left = random() * kept;
  for (let i = 0; i < size; i++) {
    const index = order ? order[i]! : i;
    left -= weights[index]!;
    if (left < 0) return index;
  }
  return likeliest(logits);
}

/** Logits of the token after `ids`, by a full forward pass. */
async function nextLogits(
  model: LayersModel,
  ids: readonly number[],
  maxPositions: number,
): Promise<Float32Array> {
  const length = Math.min(maxPositions, Math.ceil(ids.length / BUCKET) * BUCKET);
  const padded = new Int32Array(length);
  padded.set(ids);
  const last = tf.tidy(() => {
    const inputs = languageModelInputs('generate', model, {ids: tf.tensor2d(padded, [1, length], 'int32')});
    const logits = model.apply(inputs) as tf.Tensor3D;
    return tf.slice(logits, [0, ids.length - 1, 0], [1, 1, -1]);
  });
  try {
    return (await last.data()) as Float32Array;
  } finally {
    last.dispose();
  }
}

/** Continues `prompt` (token ids, at least one) and returns the new tokens. */
export async function generate(
  model: LayersModel,
  prompt: readonly number[],
  options: GenerateOptions,
): Promise<number[]> {
  const {
    maxNewTokens = 64,
    temperature = 0,
    topP = 1,
    seed = 0,
    eosIds = [],
    maxPositions,
    onToken,
    signal,
  } = options;
  if (prompt.length === 0) throw new Error('generate: the prompt has no token');
  if (prompt.length > maxPositions) {
    throw new Error(
      `generate: the prompt's ${prompt.length} tokens exceed the model's ${maxPositions} positions`,
    );
  }
  if (!(temperature >= 0)) throw new Error(`generate: temperature must be 0 or above, not ${temperature}`);
  if (!(topP > 0 && topP <= 1)) throw new Error(`generate: topP must be above 0 and at most 1, not ${topP}`);
  const random = randomStream(seed);
  const ids = [...prompt];
  // One token more than there are positions can be predicted, but not read again.
  const end = Math.min(prompt.length + maxNewTokens, maxPositions + 1);
  while (ids.length < end && !signal?.aborted) {
    const logits = await nextLogits(model, ids, maxPositions);
    const id = temperature > 0 ? sample(logits, temperature, topP, random) : likeliest(logits);
    if (eosIds.includes(id)) break;
    ids.push(id);
    onToken?.(id);
  }
  return ids.slice(prompt.length);
}
