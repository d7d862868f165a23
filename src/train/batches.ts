import * as tf from '@tensorflow/tfjs-core';
import {requireOption} from '../config.ts';
import {count} from '../ops/check.ts';
import {randomStream, seedFor, shuffled} from '../random.ts';

/**
 * Where batches come from. A batch may be any object. The tensors among its values, and in arrays there, are disposed after
 * use. Its `weight` is what its mean loss counts for beside others', in an accumulated step and in an evaluation: the number
 * of labels that count; 1 where it has none.
 */
export interface BatchSource<B extends object> {
  /** Batches in one pass over the data. */
  readonly count: number;
  /**
   * Batch number `index`, from 0; the numbers go on beyond `count`, into further passes. A number must always give the same
   * batch: then the position in the data is a number, and a run can be resumed.
   */
  batch(index: number): B | Promise<B>;
}

/** Sequences of tokens for a causal language model, with the tokens that follow. */
export interface TokenBatch {
  /** int32 [rows, length]; 0 where there is padding. */
  ids: tf.Tensor2D;
  /** int32 [rows, length]: the token after each one of `ids`; IGNORED_LABEL where it is not to be learned. */
  labels: tf.Tensor2D;
  /** int32 [rows, length]: numbers the texts packed into a row from 1; 0 where there is padding. Absent: one text a row. */
  segments?: tf.Tensor2D;
  /** Labels that count. */
  weight: number;
}

/** The label that does not count, as in PyTorch. */
export const IGNORED_LABEL = -100;

/** One row of a batch, of the batch's length. */
export interface TokenRow {
  ids: Int32Array;
  labels: Int32Array;
  segments?: Int32Array;
}

export interface BatchOptions {
  /** Tokens in a row. */
  length: number;
  /** Rows in a batch. */
  batchSize: number;
  /** Of the order; an integer ≥ 0. Absent: in order, as for an evaluation. */
  seed?: number | undefined;
}

/** @throws Error naming the option and the value. */
export function checkBatchOptions(owner: string, {length, batchSize, seed = 0}: BatchOptions): void {
  count(owner, 'length', length);
  count(owner, 'batchSize', batchSize);
  requireOption(owner, 'seed', seed);
}

export const weightOf = (batch: object): number => (batch as {weight?: number}).weight ?? 1;

function stack(rows: TokenRow[], column: keyof TokenRow): tf.Tensor2D {
  const length = rows[0]!.ids.length;
  const values = new Int32Array(rows.length * length);
  for (const [i, row] of rows.entries()) values.set(row[column]!, i * length);
  return tf.tensor2d(values, [rows.length, length], 'int32');
}

/** Rows of one length, all with segments or none, as tensors. */
export function tokenBatch(rows: TokenRow[]): TokenBatch {
  let weight = 0;
  for (const {labels} of rows) for (const label of labels) if (label >= 0) weight++;
  const segments = rows[0]!.segments && {segments: stack(rows, 'segments')};
  return {ids: stack(rows, 'ids'), labels: stack(rows, 'labels'), ...segments, weight};
}

/**
 * Which of `size` rows make a batch. In order, the last batch of a pass is smaller where they do not divide; with a seed
 * all are full, and one may hold the end of a pass and the beginning of the next, whose order is another.
 */
export function rowPicker(size: number, {batchSize, seed}: BatchOptions): (index: number) => number[] {
  let [pass, order]: [number, ArrayLike<number>] = [-1, []];
  const inPass = Math.ceil(size / batchSize);
  return (index) => {
    if (seed === undefined) {
      const start = (index % inPass) * batchSize;
      return Array.from({length: Math.min(batchSize, size - start)}, (_, i) => start + i);
    }
    return Array.from({length: batchSize}, (_, i) => {
      const position = index * batchSize + i;
      const wanted = Math.floor(position / size);
      if (wanted !== pass) [pass, order] = [wanted, shuffled(size, seedFor(`pass ${wanted}`, seed))];
      return order[position % size]!;
    });
  };
}

/**
 * Batches of one long text, such as a .txt file: windows of `length` tokens and those that follow them. With a seed the
 * windows begin anywhere, at random; in order they lie side by side, and what is left over at the end is not used.
 * @param ids The text's tokens, more than `length`.
 * @throws Error for a bad option, and for too few tokens.
 */
export function textBatches(ids: ArrayLike<number>, options: BatchOptions): BatchSource<TokenBatch> {
  const owner = 'textBatches';
  checkBatchOptions(owner, options);
  const {length, batchSize, seed} = options;
  if (ids.length <= length) {
    throw new Error(`${owner}: ids must be more than length ${length}, but are ${ids.length}`);
  }
  const tokens = Int32Array.from(ids);
  const windows = Math.floor((tokens.length - 1) / length);
  const pick = rowPicker(windows, options);
  const starts = (index: number): number[] => {
    if (seed === undefined) return pick(index).map((window) => window * length);
    const random = randomStream(seedFor(`batch ${index}`, seed));
    return Array.from({length: batchSize}, () => Math.floor(random() * (tokens.length - length)));
  };
  return {
    count: Math.ceil(windows / batchSize),
    batch: (index) =>
      tokenBatch(
        starts(index).map((start) => ({
          ids: tokens.subarray(start, start + length),
          labels: tokens.subarray(start + 1, start + 1 + length),
        })),
      ),
  };
}
