import {stat} from 'node:fs/promises';
import {basename} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {randomStream} from '../../src/random.ts';
import {ModelError} from '../llama/files.ts';
import {generate} from '../llama/generate.ts';
import {type LoadedLlama, loadLlama} from '../llama/load.ts';
import {evaluate, nextTokenBatch, nextTokenLoss} from '../llama/loss.ts';
import {modelFolder} from './model_folder.ts';
import type {Options} from './options.ts';
import {progressBar} from './progress.ts';
import type {Task} from './task.ts';
import {readTextData} from './text_data.ts';
import {UserError} from './user_error.ts';

/** Held-out tokens looked at, evenly spread: enough to tell losses apart by about 0.01, in bearable time on a CPU. */
const HELD_OUT_TOKENS = 8192;
const SAMPLE_TOKENS = 40;

async function load(folder: string): Promise<LoadedLlama> {
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) throw new UserError(`--model: there is no folder '${folder}'`);
  let bar: ReturnType<typeof progressBar> | undefined;
  const megabytes = (bytes: number) => Math.round(bytes / 1e6);
  try {
    return await loadLlama(modelFolder(folder), {
      onProgress(done, total) {
        bar ??= progressBar('reading the model', megabytes(total), 'MB');
        bar.update(megabytes(done));
      },
    });
  } catch (error) {
    throw error instanceof ModelError ? new UserError(`--model '${folder}': ${error.message}`) : error;
  } finally {
    bar?.stop();
  }
}

/** Non-overlapping windows of seq + 1 tokens, evenly spread over the stream. */
function heldOutWindows(stream: Int32Array, seq: number): Int32Array[] {
  const all = Math.floor((stream.length - 1) / seq);
  const count = Math.min(all, Math.max(1, Math.round(HELD_OUT_TOKENS / seq)));
  return Array.from({length: count}, (_, i) => {
    const start = Math.floor((i * all) / count) * seq;
    return stream.subarray(start, start + seq + 1);
  });
}

/** Fine-tuning a Llama on text. @throws UserError for what is wrong with model, data or options. */
export async function llamaTask(options: Options, say: (line: string) => void): Promise<Task> {
  const {seq} = options;
  const tokenized = await readTextData(options.data!);
  const {model, config, tokenizer} = await load(options.model!);
  if (seq > config.maxPositions) {
    throw new UserError(`--seq must be at most ${config.maxPositions} for this model, but is ${seq}`);
  }
  const {train, heldOut, prompt} = tokenized(tokenizer);
  for (const [name, stream] of Object.entries({'training part': train, 'held-out tenth': heldOut})) {
    if (stream.length <= seq) {
      throw new UserError(
        `--data: its ${name} has ${stream.length} tokens, but --seq ${seq} needs ${seq + 1}`,
      );
    }
  }
  const batch = options.batch ?? 4;
  if (batch * seq > train.length) {
    throw new UserError(
      `--batch must be at most ${Math.floor(train.length / seq)} for ${train.length} training tokens, but is ${batch}`,
    );
  }
  const windows = heldOutWindows(heldOut, seq);
  say(
    `${basename(options.model!)}: ${config.numLayers} layers, hidden ${config.hiddenSize}; ` +
      `${train.length} training tokens, ${windows.length * seq} held-out tokens`,
  );
  return {
    name: `${basename(options.model!)} on ${basename(options.data!)}`,
    model,
    target: /(q|k|v|o|gate|up|down)_proj$/,
    base: {baseModel: basename(options.model!), taskType: 'CAUSAL_LM'},
    steps: options.steps ?? 100,
    unit: 'tokens',
    unitsPerStep: batch * seq,
    loss(step) {
      const random = randomStream(options.seed * 7919 + step);
      const starts = Array.from({length: batch}, () => Math.floor(random() * (train.length - seq)));
      return tf.tidy(() => {
        const {ids, labels} = nextTokenBatch(starts.map((start) => train.subarray(start, start + seq + 1)));
        return nextTokenLoss(model, ids, labels, {training: true});
      });
    },
    heldOutLoss: (onProgress) =>
      evaluate(model, windows, {batchSize: batch, onProgress: (done, total) => onProgress(done / total)}),
    async sample() {
      const longest = Math.max(1, config.maxPositions - SAMPLE_TOKENS);
      const ids = tokenizer.encode(prompt, {bos: true}).slice(0, longest);
      const text = await generate(model, ids, {
        maxNewTokens: SAMPLE_TOKENS,
        temperature: 0.8,
        topP: 0.95,
        seed: options.seed,
        eosIds: tokenizer.eosIds,
        maxPositions: config.maxPositions,
      });
      return JSON.stringify(`${prompt} ⟩ ${tokenizer.decode(text)}`);
    },
    dispose: () => void model.dispose(),
  };
}
