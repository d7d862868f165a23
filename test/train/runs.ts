import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {
  applyCELoRA,
  type BatchLoss,
  type BatchSource,
  type CheckpointStore,
  type FineTuneOptions,
  fineTune,
  languageModelLoss,
  type TokenBatch,
  type TrainingEvent,
  textBatches,
} from '../../src/index.ts';
import {tinyLM} from './tiny_lm.ts';

/** The error that a promise is to end with. */
export const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => {
      throw new Error('it should have failed');
    },
    (error: Error) => error,
  );

/** A store in memory, as a browser's would be. */
export function memoryStore(): CheckpointStore & {files: Map<string, Uint8Array<ArrayBuffer>>} {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    files,
    save: async (name, bytes) => void files.set(name, bytes.slice()),
    load: async (name) => files.get(name)?.slice(),
    list: async () => [...files.keys()],
  };
}

/** One weight w, at first 0; the loss of batch n is (w − n)², times `scale`. */
export function oneWeight(scale = 1) {
  const model = tfl.sequential({
    name: 'one',
    layers: [
      tfl.layers.dense({units: 1, inputShape: [1], useBias: false, kernelInitializer: 'zeros', name: 'w'}),
    ],
  });
  const asked: number[] = [];
  const data: BatchSource<{n: number; weight?: number}> = {
    count: 10,
    batch(n) {
      asked.push(n);
      return {n};
    },
  };
  const loss: BatchLoss<{n: number}> = ({n}, apply) =>
    tf.mul(tf.sum(tf.square(tf.sub(apply(model, tf.ones([1, 1])), n))), scale);
  const weight = async () => (await model.getWeights()[0]!.data())[0]!;
  return {model, data, loss, asked, weight};
}

/** Everything that a run keeps random numbers or state of: dropout of both kinds, columns, rows, exact steps of both kinds. */
export function busyModel(): tfl.LayersModel {
  const model = tinyLM({dropout: 0.2});
  applyCELoRA(model, {
    target: /_proj$/,
    ...{rank: 2, alpha: 4, keep: 0.5, frozenRank: 1, refreshEvery: 3, exactEvery: 0, loraDropout: 0.3},
    overrides: [
      {target: /up_proj$/, axis: 'rows'},
      {target: /down_proj$/, exactSteps: 5},
      {target: /[qo]_proj$/, exactEvery: 4},
    ],
  });
  return model;
}

/** Tokens with something to learn. */
export const TOKENS = Array.from({length: 200}, (_, i) => (i * i + (i >> 3)) % 11);

export const busyOptions = (model: tfl.LayersModel): FineTuneOptions<TokenBatch> => ({
  model,
  data: textBatches(TOKENS.slice(0, 150), {length: 6, batchSize: 2, seed: 4}),
  loss: languageModelLoss(model),
  steps: 12,
  accumulate: 2,
  learningRate: (step, steps) => 0.05 * (1 - step / steps),
  evaluation: {data: textBatches(TOKENS.slice(150), {length: 6, batchSize: 4}), every: 4},
});

/** A run with what happened in it, without the seconds. */
export async function recorded(options: FineTuneOptions<TokenBatch>) {
  const events: TrainingEvent[] = [];
  const {seconds, ...result} = await fineTune({
    ...options,
    onEvent(event) {
      events.push(event);
      options.onEvent?.(event);
    },
  });
  return {result, events};
}
