import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';

/**
 * Mean cross-entropy, in nats, of the token that follows each position.
 *
 * Stable without the log of a small number: with top = max of the logits, log Σ exp = top − log(max softmax).
 *
 * @param logits [.., vocab]
 * @param labels int32 [..], the next token of each position (already shifted); a position whose label is
 *   negative does not count. If none counts the loss is 0.
 */
export function causalLoss(logits: tf.Tensor, labels: tf.Tensor): tf.Scalar {
  return tf.tidy(() => {
    const vocab = logits.shape.at(-1)!;
    const rows = tf.reshape(logits, [-1, vocab]);
    const flat = tf.cast(tf.reshape(labels, [-1]), 'int32');
    if (flat.size !== rows.shape[0]) {
      throw new Error(`causalLoss: labels [${labels.shape}] do not fit logits [${logits.shape}]`);
    }
    const counts = tf.cast(tf.greaterEqual(flat, 0), 'float32');
    const weights = tf.div(counts, tf.maximum(tf.sum(counts), 1));
    const targets = tf.maximum(flat, tf.scalar(0, 'int32'));
    // Its own gradient, (softmax − one-hot) · weight, keeps nothing as large as the logits but the logits.
    const loss = tf.customGrad((...args) => {
      const [rows, save] = args as [tf.Tensor, tf.GradSaveFunc];
      // By row and column: a flat index is not exact on WebGPU beyond 2²⁴ logits, gather by batch is wrong on
      // wasm.
      const places = tf.stack([tf.range(0, rows.shape[0]!, 1, 'int32'), targets], 1);
      const chosen = tf.gatherND(rows, places);
      // top − chosen first: large logits then lose no digits.
      const ahead = tf.sub(tf.max(rows, -1), chosen);
      const losses = tf.sub(ahead, tf.log(tf.max(tf.softmax(rows), -1)));
      save([rows, targets, weights]);
      const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [rows, targets, weights] = saved as [tf.Tensor, tf.Tensor1D, tf.Tensor];
        // cast, not made as float32: wasm writes the bits of the integer 1
        const oneHot = tf.cast(tf.oneHot(targets, vocab), 'float32');
        const difference = tf.sub(tf.softmax(rows), oneHot);
        return tf.mul(difference, tf.reshape(tf.mul(weights, dy), [-1, 1]));
      };
      return {value: tf.sum(tf.mul(losses, weights)), gradFunc};
    });
    return loss(rows) as tf.Scalar;
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
  const labels = new Int32Array(windows.length * length).fill(-1);
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
  model: LayersModel,
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
        return causalLoss(model.apply(ids) as tf.Tensor, labels);
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
