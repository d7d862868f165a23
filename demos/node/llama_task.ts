import {stat} from 'node:fs/promises';
import {basename} from 'node:path';
import type {ApplyModel, Base, TokenBatch} from '../../src/index.ts';
import {ModelError, type ModelFiles} from '../llama/files.ts';
import {generate} from '../llama/generate.ts';
import {type LoadedLlama, loadLlama} from '../llama/load.ts';
import {nextTokenLoss} from '../llama/loss.ts';
import {modelAtUrl} from '../llama/source_url.ts';
import {textDataBatches} from '../llama/text_batches.ts';
import {modelFolder} from './model_folder.ts';
import type {Options} from './options.ts';
import {progressBar} from './progress.ts';
import type {Task} from './task.ts';
import {ofData, readTextData} from './text_data.ts';
import {UserError} from './user_error.ts';

const SAMPLE_TOKENS = 40;

const isAddress = (model: string): boolean => /^https?:/.test(model);

/** A model's files in a folder, or at an address, from which they are downloaded as they are read. */
async function filesOf(
  model: string,
  onProgress: (done: number, total: number) => void,
): Promise<ModelFiles> {
  if (isAddress(model)) return modelAtUrl(model, {onProgress});
  const found = await stat(model).catch(() => undefined);
  if (!found?.isDirectory()) throw new UserError(`--model: there is no folder '${model}'`);
  return modelFolder(model);
}

/** @param segments Whether the model is to take texts that are packed into one row. */
async function load(model: string, segments: boolean, base: Base): Promise<LoadedLlama> {
  let bar: ReturnType<typeof progressBar> | undefined;
  const megabytes = (bytes: number) => Math.round(bytes / 1e6);
  const onProgress = (done: number, total: number) => {
    bar ??= progressBar('reading the model', megabytes(total), 'MB');
    bar.setTotal(megabytes(total));
    bar.update(megabytes(done));
  };
  try {
    const files = await filesOf(model, onProgress);
    return await loadLlama(files, {segments, base, ...(isAddress(model) ? {} : {onProgress})});
  } catch (error) {
    throw error instanceof ModelError ? new UserError(`--model '${model}': ${error.message}`) : error;
  } finally {
    bar?.stop();
  }
}

/** Fine-tuning a Llama on text. @throws UserError for what is wrong with model, data or options. */
export async function llamaTask(options: Options, say: (line: string) => void): Promise<Task> {
  const {seq, batch = 4, seed, completionOnly, template} = options;
  const read = await readTextData(options.data!, template);
  const {model, config, tokenizer} = await load(options.model!, completionOnly, options.celora.base);
  if (seq > config.maxPositions) {
    throw new UserError(`--seq must be at most ${config.maxPositions} for this model, but is ${seq}`);
  }
  const texts = read(tokenizer);
  if (completionOnly && texts.kind === 'parts') {
    throw new UserError('--completion-only is for a .jsonl: a .txt has no prompts');
  }
  const settings = {seq, batch, seed, completionOnly};
  const {data, heldOut, about} = ofData(() => textDataBatches(texts, tokenizer, settings));
  const {prompt, kind} = texts;
  say(`${basename(options.model!)}: ${config.numLayers} layers, hidden ${config.hiddenSize}; ${about}`);
  return {
    name: `${basename(options.model!)} on ${basename(options.data!)}`,
    model,
    target: /(q|k|v|o|gate|up|down)_proj$/,
    base: {baseModel: basename(options.model!), taskType: 'CAUSAL_LM'},
    steps: options.steps ?? 100,
    unit: 'tokens',
    unitsPerBatch: batch * seq,
    data,
    heldOut,
    loss: ({ids, labels, segments}: TokenBatch, apply: ApplyModel) =>
      nextTokenLoss(model, ids, labels, {segments, apply}),
    async sample() {
      const longest = Math.max(1, config.maxPositions - SAMPLE_TOKENS);
      const ids = tokenizer.encode(prompt, {bos: kind !== 'chats'}).slice(0, longest);
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
