import * as tf from '@tensorflow/tfjs-core';
import {requireOption} from '../../../src/config.ts';
import {isRecording, offTape} from '../../../src/gradients/off_tape.ts';
import {shuffled} from '../../../src/random.ts';

export interface SampleTokensOptions {
  /** Fraction of the tokens that the backward pass goes through, 0 < keep ≤ 1; at least one token. */
  keep: number;
  /** Of the sample, an integer ≥ 0: another one for every call. */
  seed: number;
}

type Gradient = {value: tf.Tensor; gradFunc: (dy: tf.Tensor) => tf.Tensor};

/** Rows of x by their indices, which are made when they are used: wasm copies what a gradient saves. */
const rowsOf = (x: tf.Tensor, indices: Int32Array): tf.Tensor2D =>
  tf.tidy(() => tf.gather(x, tf.tensor1d(indices, 'int32'))) as tf.Tensor2D;

/** Rows of x [N, d], each at most once. @param back Where each row of x went; the number of rows taken where it did not. */
function takeRows(x: tf.Tensor2D, rows: Int32Array, back: Int32Array): tf.Tensor2D {
  const gradFunc = (dy: tf.Tensor) => rowsOf(tf.concat([dy, tf.fill([1, x.shape[1]], 0)], 0), back);
  const take = tf.customGrad((x): Gradient => ({value: rowsOf(x as tf.Tensor, rows), gradFunc}));
  return take(x) as tf.Tensor2D;
}

/** Rows in the order of `places`, of those that a gradient goes through and of others; `scale` multiplies it. */
function putBack(
  kept: tf.Tensor2D,
  rest: tf.Tensor2D,
  {places, rows, scale}: {places: Int32Array; rows: Int32Array; scale: number},
): tf.Tensor2D {
  const gradFunc = (dy: tf.Tensor) => tf.mul(rowsOf(dy, rows), scale);
  const put = tf.customGrad((kept): Gradient => {
    const value = tf.tidy(() => rowsOf(tf.concat([kept as tf.Tensor2D, rest], 0), places));
    return {value, gradFunc};
  });
  return put(kept) as tf.Tensor2D;
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
  requireOption(owner, 'keep', keep);
  requireOption(owner, 'seed', seed);
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
    const places = new Int32Array(tokens);
    for (const [place, token] of order.entries()) places[token] = place;
    const rows = order.slice(0, kept);
    const back = places.map((place) => Math.min(place, kept));
    const sample = run(takeRows(flat, rows, back));
    const rest = offTape(() => run(rowsOf(flat, order.slice(kept))));
    return restore(putBack(sample, rest, {places, rows, scale: tokens / kept}), x);
  });
}

/** [N, out] with the leading dimensions of x. */
const restore = (y: tf.Tensor2D, {shape}: tf.Tensor): tf.Tensor =>
  tf.reshape(y, [...shape.slice(0, -1), y.shape[1]]);
