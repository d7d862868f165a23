import {resolve, sep} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type {LlamaTokenizer} from '../../../demos/llama/tokenizer.ts';
import {readTextData} from '../../../demos/node/text_data.ts';
import {
  ActivationGradient,
  type BatchLoss,
  type BatchSource,
  type Example,
  linearCrossEntropy,
  type TokenBatch,
} from '../../../src/index.ts';
import {tokenBatch} from '../../../src/train/batches.ts';
import {branchRunner} from './branches.ts';
import type {Row} from './rows.ts';

/** What results call a file: its name, with the folder that it is in. */
export const dataName = (path: string): string => resolve(path).split(sep).slice(-2).join('/');

export interface Tokens {
  train: Int32Array;
  heldOut: Int32Array;
}

/** The tokens of a .txt or .jsonl: the first nine tenths, and the last; texts of a .jsonl begin with `<s>`. */
export async function readTokens(path: string, tokenizer: LlamaTokenizer): Promise<Tokens> {
  const {train, heldOut, kind} = (await readTextData(path))(tokenizer);
  const stream = (examples: Example[]) =>
    Int32Array.from(
      examples.flatMap((parts) =>
        tokenizer.encode(parts.map(({text}) => text).join(''), {bos: kind === 'texts'}),
      ),
    );
  return {train: stream(train), heldOut: stream(heldOut)};
}

/** So many windows of a text, their beginnings evenly spread, overlapping where the text is short. */
export function evenWindows(
  ids: Int32Array,
  {length, windows, batchSize}: {length: number; windows: number; batchSize: number},
): BatchSource<TokenBatch> {
  const last = ids.length - length - 1;
  if (last < 0) throw new Error(`evenWindows: ids must be more than length ${length}, but are ${ids.length}`);
  const start = (i: number) => Math.round((i * last) / Math.max(1, windows - 1));
  return {
    count: Math.ceil(windows / batchSize),
    batch(index) {
      const first = index * batchSize;
      const rows = Array.from({length: Math.min(batchSize, windows - first)}, (_, i) => start(first + i));
      return tokenBatch(
        rows.map((at) => ({
          ids: ids.subarray(at, at + length),
          labels: ids.subarray(at + 1, at + 1 + length),
        })),
      );
    },
  };
}

/**
 * The loss of a Llama of `buildLlama` without its logits, the gradient of its head approximated if there are options for it,
 * and its backward pass thinned out if there are branches.
 * @returns The loss, and the gradient of its head, to be disposed.
 */
export function lossOf(
  model: tfl.LayersModel,
  {head = {keep: 1}, branches}: Pick<Row, 'head' | 'branches'>,
  seed: number,
): {loss: BatchLoss<TokenBatch>; head: ActivationGradient} {
  const [hidden] = [model.getLayer('lm_head').input].flat();
  const body = tfl.model({inputs: model.inputs, outputs: hidden!});
  const run = branches && branchRunner(body, branches, seed);
  const [own] = model.getLayer('lm_head').weights;
  const kernel = own ?? model.getLayer('model.embed_tokens').weights[0]!;
  const transposed = own === undefined;
  const gradient = new ActivationGradient(head, {transposed});
  const loss: BatchLoss<TokenBatch> = ({ids, labels}, apply) =>
    tf.tidy(() =>
      linearCrossEntropy({
        x: run ? run(ids) : apply(body, ids),
        labels,
        kernel: kernel.read(),
        transposed,
        gradient,
      }),
    );
  return {loss, head: gradient};
}
