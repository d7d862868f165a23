import {mkdir, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {writeSafetensors} from '../../src/files/safetensors.ts';
import {
  type ApplyModel,
  cosineSchedule,
  evaluateLoss,
  fineTune,
  registerCELoRAGradients,
  type TokenBatch,
  type TrainingEvent,
} from '../../src/index.ts';
import {folderStore} from '../../src/node.ts';
import {parseConfig} from '../llama/config.ts';
import type {JsonObject, ModelFiles} from '../llama/files.ts';
import {loadLlama} from '../llama/load.ts';
import {nextTokenLoss} from '../llama/loss.ts';
import {checkpointOf} from '../llama/save.ts';
import {loadTokenizer} from '../llama/tokenizer.ts';
import {learnMerges} from './byte_pairs.ts';
import {modelCard, type Report} from './card.ts';
import {bytesOf, type PretrainBatches, pretrainBatches, type Split, split} from './data.ts';
import {configJson, randomLlama} from './model.ts';
import {ByteNgram} from './ngram.ts';
import type {PretrainOptions} from './options.ts';
import {tokenizerFiles} from './tokenizer.ts';

export interface PretrainHooks {
  /** What the run computes on, for the card. */
  device: string;
  signal?: AbortSignal;
  say?: (line: string) => void;
  onEvent?: (event: TrainingEvent) => void;
  /** Progress of the last evaluation. */
  onEvaluate?: (done: number, total: number) => void;
}

const json = (value: JsonObject) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);

/** Files of a model before they lie in a folder. */
const inMemory = (files: Record<string, Uint8Array>): ModelFiles => ({
  size: async (name) => files[name]?.length,
  read: async (name, start, end) => files[name]!.slice(start, end),
});

/** Writes files into a folder, each whole or not at all. */
async function writeFiles(folder: string, files: Record<string, Uint8Array>): Promise<void> {
  await mkdir(folder, {recursive: true});
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, `${name}.part`), content);
    await rename(join(folder, `${name}.part`), join(folder, name));
  }
}

const lossOf =
  (model: LayersModel) =>
  ({ids, labels}: TokenBatch, apply: ApplyModel) =>
    nextTokenLoss(model, ids, labels, {apply});

/** Trains all weights; undefined if it was interrupted. */
async function train(
  model: LayersModel,
  {data, some}: PretrainBatches,
  options: PretrainOptions,
  {signal, onEvent}: PretrainHooks,
): Promise<{seconds: number; bestStep: number} | undefined> {
  const {steps, lr, resume} = options;
  // exact gradients all the same, but none of stock Dense's transposed products: on wasm a step takes a sixth of the time
  const hook = registerCELoRAGradients({keep: 1});
  const {reason, seconds, best} = await fineTune({
    model,
    data,
    loss: lossOf(model),
    steps,
    learningRate: cosineSchedule(lr, {warmUp: 0.02, floor: 0.1}),
    optimizer: {beta2: 0.95, weightDecay: options['weight-decay'], noDecay: /norm/},
    evaluation: {data: some, every: options['eval-every']},
    checkpoints: {store: folderStore(options.checkpoints), every: options['save-every'], resume},
    signal,
    onEvent,
  }).finally(() => hook.dispose());
  return reason === 'aborted' ? undefined : {seconds, bestStep: best?.step ?? steps};
}

/** Loss of a model as its files give it, in half precision, over all that is held out; undefined if it was interrupted. */
async function heldOutLoss(
  files: ModelFiles,
  {heldOut}: PretrainBatches,
  {onEvaluate, signal}: PretrainHooks,
): Promise<number | undefined> {
  const {model} = await loadLlama(files);
  try {
    return await evaluateLoss(heldOut, lossOf(model), {signal, ...(onEvaluate && {onProgress: onEvaluate})});
  } catch (error) {
    if (signal?.aborted) return undefined;
    throw error;
  } finally {
    model.dispose();
  }
}

/** Bits per byte of a text of so many tokens, at a loss in nats a token. */
export const bitsPerByte = (loss: number, tokens: number, bytes: number): number =>
  ((loss / Math.LN2) * tokens) / bytes;

function baseline({train, heldOut}: Split): number {
  return new ByteNgram(bytesOf(train)).bitsPerByte(bytesOf(heldOut));
}

/**
 * Trains a tokenizer and a Llama on texts, a tenth of them held out, and writes them as a Hugging Face folder with a card.
 * @returns What the card says; undefined if the run was interrupted, and then the checkpoint is there to go on from.
 */
export async function pretrain(
  texts: readonly string[],
  options: PretrainOptions,
  hooks: PretrainHooks,
): Promise<Report | undefined> {
  const say = hooks.say ?? (() => {});
  const parts = split(texts);
  const merges = learnMerges(parts.train, options.merges);
  const settings = configJson(options, merges.length);
  const described = {'config.json': settings, ...tokenizerFiles(merges)};
  const files = Object.fromEntries(Object.entries(described).map(([name, file]) => [name, json(file)]));
  const config = parseConfig(settings);
  const tokenizer = await loadTokenizer(inMemory(files), config);
  const batches = pretrainBatches(parts, tokenizer, options);
  const ngramBitsPerByte = baseline(parts);
  const model = randomLlama(config, options.seed);
  try {
    const parameters = model.countParams();
    say(
      `${parameters} parameters, ${batches.tokens.train} training tokens, ${batches.tokens.heldOut} held out; ` +
        `byte 5-gram: ${ngramBitsPerByte.toFixed(4)} bits per byte`,
    );
    const trained = await train(model, batches, options, hooks);
    if (!trained) return undefined;
    const weights = writeSafetensors(await checkpointOf(model), {format: 'pt'}, 'F16');
    files['model.safetensors'] = weights;
    const loss = await heldOutLoss(inMemory(files), batches, hooks);
    if (loss === undefined) return undefined;
    const bytes = bytesOf(parts.heldOut).length;
    const report: Report = {
      ...trained,
      options,
      device: hooks.device,
      parameters,
      fileBytes: weights.length,
      texts: {train: parts.train.length, heldOut: parts.heldOut.length},
      bytes: {train: bytesOf(parts.train).length, heldOut: bytes},
      tokens: batches.tokens,
      vocabulary: config.vocabSize,
      loss,
      bitsPerByte: bitsPerByte(loss, batches.tokens.heldOut, bytes),
      ngramBitsPerByte,
    };
    await writeFiles(options.out, {...files, 'README.md': new TextEncoder().encode(modelCard(report))});
    return report;
  } finally {
    model.dispose();
  }
}
