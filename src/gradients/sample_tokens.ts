import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {shuffled} from '../random.ts';
import {isRecording, offTape} from './off_tape.ts';

export interface SampleTokensOptions {
  /** Fraction of the tokens that the backward pass goes through, 0 < keep ≤ 1; at least one token. */
  keep: number;
  /** Of the sample, an integer ≥ 0: another one for every call. */
  seed: number;
}

const indices = (values: Int32Array) => tf.tensor1d(values, 'int32');

/** Rows of x, each at most once. @param places Where each row of x went, or the number of rows taken for one that did not. */
function takeRows(x: tf.Tensor2D, rows: Int32Array, places: Int32Array): tf.Tensor2D {
  return tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor2D, tf.GradSaveFunc];
    const back = indices(places);
    save([back]);
    return {
      value: tf.gather(x, indices(rows)),
      gradFunc: (dy: tf.Tensor, [back]: tf.Tensor[]) => {
        const none = tf.fill([1, x.shape[1]], 0);
        return tf.gather(tf.concat([dy as tf.Tensor2D, none as tf.Tensor2D], 0), back as tf.Tensor1D);
      },
    };
  })(x) as tf.Tensor2D;
}

/** `kept` and `rest` in the order of `places`. The gradient of `kept` is `scale` times its rows' of dy. */
function putBack(
  kept: tf.Tensor2D,
  rest: tf.Tensor2D,
  rows: Int32Array,
  places: Int32Array,
  scale: number,
): tf.Tensor2D {
  return tf.customGrad((...args) => {
    const [kept, save] = args as unknown as [tf.Tensor2D, tf.GradSaveFunc];
    const taken = indices(rows);
    save([taken]);
    return {
      value: tf.gather(tf.concat([kept, rest], 0), indices(places)),
      gradFunc: (dy: tf.Tensor, [taken]: tf.Tensor[]) => tf.mul(tf.gather(dy, taken as tf.Tensor1D), scale),
    };
  })(kept) as tf.Tensor2D;
}

/**
 * Runs a block that treats each token by itself, such as the MLP of a transformer: `block(x)`, always exact. Its backward
 * pass, with all gradients of what the block uses, goes through a random sample of the tokens alone: k of N, drawn evenly
 * without replacement, their gradients multiplied by N / k. So every gradient has the exact one as its mean, costs `keep`
 * times as much, and activations are held of the sample alone. Without a gradient being recorded, this is `block(x)`.
 * @param block Of [n, in] → [n, out]: row i of the result depends on row i of its input alone. It is called twice.
 * @param x [..., in], rank ≥ 2.
 * @returns [..., out].
 * @throws Error for a bad option, and for a block that returns another number of rows.
 */
export function sampleTokens(
  block: (x: tf.Tensor2D) => tf.Tensor2D,
  x: tf.Tensor,
  {keep, seed}: SampleTokensOptions,
): tf.Tensor {
  const owner = 'sampleTokens';
  if (!(keep > 0 && keep <= 1)) {
    throw new Error(`${owner}: keep must be a number with 0 < keep ≤ 1, but is ${show(keep)}`);
  }
  if (!(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new Error(`${owner}: seed must be an integer ≥ 0, but is ${show(seed)}`);
  }
  if (x.rank < 2) throw new Error(`${owner}: x must have rank ≥ 2, but its shape is [${x.shape}]`);
  const run = (rows: tf.Tensor2D): tf.Tensor2D => {
    const y = block(rows);
    if (y.rank === 2 && y.shape[0] === rows.shape[0]) return y;
    throw new Error(
      `${owner}: block must return [${rows.shape[0]}, out] of [${rows.shape}], but returns [${y.shape}]`,
    );
  };
  return tf.tidy(() => {
    const flat = tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D;
    const [tokens] = flat.shape;
    const kept = Math.max(1, Math.round(keep * tokens));
    if (!isRecording() || kept >= tokens) return restore(run(flat), x);
    const order = shuffled(tokens, seed);
    const [rows, others] = [order.subarray(0, kept), order.subarray(kept)];
    const places = new Int32Array(tokens);
    for (const [place, row] of order.entries()) places[row] = place;
    const sample = run(
      takeRows(
        flat,
        rows,
        places.map((place) => Math.min(place, kept)),
      ),
    );
    const rest = offTape(() => run(tf.gather(flat, indices(others))));
    return restore(putBack(sample, rest, rows, places, tokens / kept), x);
  });
}

/** [N, out] with the leading dimensions of x. */
const restore = (y: tf.Tensor2D, {shape}: tf.Tensor): tf.Tensor =>
  tf.reshape(y, [...shape.slice(0, -1), y.shape[1]]);
