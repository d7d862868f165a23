import {type BatchSource, type TokenBatch, textBatches} from '../../src/index.ts';
import type {LlamaTokenizer} from '../llama/tokenizer.ts';
import {UserError} from '../node/user_error.ts';
import type {PretrainOptions} from './options.ts';

/** Whole texts, some to train on and some held out. */
export interface Split {
  train: string[];
  heldOut: string[];
}

/** Every tenth text is held out, so that all times are in both parts. */
export function split(texts: readonly string[]): Split {
  const isHeldOut = (i: number) => i % 10 === 9;
  return {
    train: texts.filter((_, i) => !isHeldOut(i)),
    heldOut: texts.filter((_, i) => isHeldOut(i)),
  };
}

/** The texts as bytes, a line feed between two. */
export const bytesOf = (texts: readonly string[]): Uint8Array => new TextEncoder().encode(texts.join('\n'));

/** The texts' tokens one after the other, each text with the tokens that begin and end one. */
export const tokensOf = (texts: readonly string[], tokenizer: LlamaTokenizer): Int32Array =>
  Int32Array.from(
    texts.flatMap((text) => [...tokenizer.encode(text, {bos: true}), ...tokenizer.eosIds.slice(0, 1)]),
  );

/** Held-out tokens of an evaluation during training. */
const SOME = 32768;

export interface PretrainBatches {
  data: BatchSource<TokenBatch>;
  /** Windows that lie side by side over all that is held out: a token sees those before it in its window. */
  heldOut: BatchSource<TokenBatch>;
  /** A part of them, evenly spread. */
  some: BatchSource<TokenBatch>;
  tokens: {train: number; heldOut: number};
}

/** @throws UserError for too few tokens. */
export function pretrainBatches(
  {train, heldOut}: Split,
  tokenizer: LlamaTokenizer,
  {seq, batch, seed}: PretrainOptions,
): PretrainBatches {
  const [trainIds, heldOutIds] = [tokensOf(train, tokenizer), tokensOf(heldOut, tokenizer)];
  const least = Math.min(trainIds.length, heldOutIds.length);
  if (least <= seq) throw new UserError(`--seq must be below ${least}, the tokens there are, but is ${seq}`);
  const all = textBatches(heldOutIds, {length: seq, batchSize: batch});
  const count = Math.min(all.count, Math.ceil(SOME / (seq * batch)));
  return {
    data: textBatches(trainIds, {length: seq, batchSize: batch, seed}),
    heldOut: all,
    some: {count, batch: (i) => all.batch(Math.floor((i * all.count) / count))},
    tokens: {train: trainIds.length, heldOut: heldOutIds.length},
  };
}
