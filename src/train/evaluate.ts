import * as tf from '@tensorflow/tfjs-core';
import {modelRunner} from '../model/apply_model.ts';
import {type BatchSource, weightOf} from './batches.ts';
import type {BatchLoss} from './loss.ts';
import {nextTurn} from './next_turn.ts';

export interface EvaluateOptions {
  /** Aborted: the evaluation rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Called after every batch with how many are done, and of how many. */
  onProgress?: (done: number, total: number) => void;
}

/** Frees the tensors in a batch. */
export function disposeBatch(batch: object): void {
  for (const value of Object.values(batch).flat()) if (value instanceof tf.Tensor) value.dispose();
}

/** Reads a scalar and frees it. */
export async function readScalar(scalar: tf.Scalar): Promise<number> {
  try {
    return (await scalar.data())[0]!;
  } finally {
    scalar.dispose();
  }
}

/**
 * The mean loss over one pass of a source, batches weighted by their `weight`. Nothing is trained, dropout is off. A
 * batch's loss is read while the next one is computed.
 * @throws Error if the source has no batches, or weights of 0 only.
 */
export async function evaluateLoss<B extends object>(
  data: BatchSource<B>,
  loss: BatchLoss<B>,
  {signal, onProgress}: EvaluateOptions = {},
): Promise<number> {
  const apply = modelRunner(false);
  let [sum, total] = [0, 0];
  let reading: Promise<void> = Promise.resolve();
  try {
    for (let index = 0; index < data.count; index++) {
      signal?.throwIfAborted();
      const batch = await data.batch(index);
      const weight = weightOf(batch);
      let value: tf.Scalar;
      try {
        value = tf.tidy(() => loss(batch, apply));
      } finally {
        disposeBatch(batch);
      }
      await reading;
      reading = readScalar(value).then((number) => {
        sum += number * weight;
        total += weight;
      });
      reading.catch(() => {}); // it is awaited one batch later
      onProgress?.(index + 1, data.count);
      await nextTurn();
    }
  } finally {
    await reading;
  }
  if (total === 0) throw new Error('evaluateLoss: data has no batch that counts');
  return sum / total;
}
