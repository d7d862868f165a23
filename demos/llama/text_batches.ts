import {
  type BatchSource,
  type Example,
  exampleBatches,
  FileError,
  type TokenBatch,
  type TokenizedText,
  textBatches,
  tokenize,
} from '../../src/index.ts';
import type {TextData} from './text_data.ts';
import type {LlamaTokenizer} from './tokenizer.ts';

export interface BatchSettings {
  /** Tokens in a row. */
  seq: number;
  /** Rows in a batch. */
  batch: number;
  seed: number;
  /** Prompts are read, and not learned. */
  completionOnly: boolean;
  /**
   * Held-out tokens looked at, about. Default 8192: enough to tell losses apart by about 0.01, in bearable time on a CPU.
   */
  heldOutTokens?: number;
}

export interface TextBatches {
  data: BatchSource<TokenBatch>;
  heldOut: BatchSource<TokenBatch>;
  /** What there is to train on and to evaluate on, in words. */
  about: string;
}

/** Every so manyth batch of a source, so that they are at most `most`, evenly spread. */
function evenly<B extends object>(source: BatchSource<B>, most: number): BatchSource<B> {
  const count = Math.min(source.count, Math.max(1, most));
  return {count, batch: (i) => source.batch(Math.floor((i * source.count) / count))};
}

/** Windows anywhere in texts that follow one another; prompts are learned too. */
function windows(texts: TextData, tokenizer: LlamaTokenizer, settings: BatchSettings): TextBatches {
  const {seq, batch, seed, heldOutTokens = 8192} = settings;
  const stream = (examples: Example[]) =>
    Int32Array.from(
      examples.flatMap((parts) =>
        tokenizer.encode(parts.map(({text}) => text).join(''), {bos: texts.kind === 'texts'}),
      ),
    );
  const [train, heldOut] = [stream(texts.train), stream(texts.heldOut)];
  for (const [name, {length}] of Object.entries({'training part': train, 'held-out tenth': heldOut})) {
    if (length > seq) continue;
    throw new FileError(`the ${name} has ${length} tokens, but a sequence of ${seq} needs ${seq + 1}`);
  }
  if (batch * seq > train.length) {
    const most = Math.floor(train.length / seq);
    throw new FileError(`${train.length} training tokens allow a batch of at most ${most}, not ${batch}`);
  }
  const all = textBatches(heldOut, {length: seq, batchSize: batch});
  const some = evenly(all, Math.round(heldOutTokens / (batch * seq)));
  const evaluated = Math.min(Math.floor((heldOut.length - 1) / seq), some.count * batch) * seq;
  return {
    data: textBatches(train, {length: seq, batchSize: batch, seed}),
    heldOut: some,
    about: `${train.length} training tokens, ${evaluated} held-out tokens`,
  };
}

/** Whole texts, packed into rows; what follows the prompts is learned. */
function completions(texts: TextData, tokenizer: LlamaTokenizer, settings: BatchSettings): TextBatches {
  const {seq, batch, seed, heldOutTokens = 8192} = settings;
  if (texts.kind === 'parts') throw new FileError('a .txt has no prompts that could be left out');
  const [bosId, eosId] = texts.kind === 'texts' ? [tokenizer.bosId, tokenizer.eosIds[0]] : [];
  const encode = (text: string) => tokenizer.encode(text);
  const all = (examples: Example[]): TokenizedText[] =>
    examples.map((example) => tokenize(example, {encode, bosId, eosId}));
  const data = exampleBatches(all(texts.train), {length: seq, batchSize: batch, seed});
  const heldOut = exampleBatches(all(texts.heldOut), {length: seq, batchSize: batch});
  const cut = data.truncated === 0 ? '' : `, ${data.truncated} cut to ${seq} tokens`;
  const filled = Math.round(100 * data.filled);
  return {
    data,
    heldOut: evenly(heldOut, Math.round(heldOutTokens / (batch * seq))),
    about:
      `${texts.train.length - data.dropped} training texts${cut} in ${data.rows} rows that are ${filled} % full, ` +
      `${texts.heldOut.length - heldOut.dropped} held-out texts`,
  };
}

/** Batches for a causal language model. @throws FileError for too little data. */
export function textDataBatches(
  texts: TextData,
  tokenizer: LlamaTokenizer,
  settings: BatchSettings,
): TextBatches {
  return (settings.completionOnly ? completions : windows)(texts, tokenizer, settings);
}
