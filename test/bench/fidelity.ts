import {basename} from 'node:path';
import {type LoadedLlama, loadLlama} from '../../demos/llama/load.ts';
import {modelFolder} from '../../demos/node/model_folder.ts';
import {
  type ActivationGradient,
  applyCELoRA,
  type BatchSource,
  CELoRADense,
  cosineSchedule,
  fineTune,
  removeCELoRA,
  type TokenBatch,
  textBatches,
} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {evenWindows, lossOf, readTokens, type Tokens} from './fidelity_data.ts';
import {BATCH, fidelityRows, type Row} from './fidelity_rows.ts';
import type {Suite} from './suite.ts';

const ALPHA = 32;
const RANK = 16;
const WARM_UP = 20;
const EVALUATIONS = 6;

/** What is trained on, and for how long. */
interface Protocol {
  loaded: LoadedLlama;
  tokens: Tokens;
  steps: number;
  lr: number;
  length: number;
  windows: number;
}

interface Result {
  data: string;
  row: string;
  seed: number;
  batch: number;
  /** Multiply-adds of the steps' products, as a fraction of exact LoRA's at the full batch. */
  cost: number;
  /** Held-out loss at the end. */
  loss: number;
  /** Seconds of training, evaluations left out. */
  seconds: number;
  /** Held-out losses on the way, with the seconds of training until then. */
  curve: {step: number; seconds: number; loss: number}[];
  /** Training loss of every step. */
  losses: number[];
}

/** A source that says when a pass over it begins. */
const announced = (source: BatchSource<TokenBatch>, begin: () => void): BatchSource<TokenBatch> => ({
  count: source.count,
  batch(index) {
    if (index === 0) begin();
    return source.batch(index);
  },
});

/** Its input leads to nothing trainable, whatever is adapted: there is no dx. */
const FIRST = /layers\.0\..*[qkv]_proj$/;

/** Multiply-adds of a run's products, forward and dx, head included, as a fraction of exact LoRA's at the full batch. */
function costOf({batch}: Row, {model, config}: LoadedLlama, head: ActivationGradient): number {
  let [done, whole] = [0, 0];
  const count = (size: number, gradient: ActivationGradient | undefined, reached: boolean) => {
    const {multiplyAdds, savedMultiplyAdds} = gradient?.stats ?? {multiplyAdds: 0, savedMultiplyAdds: 0};
    const dx = multiplyAdds === 0 ? 0 : 1 - savedMultiplyAdds / multiplyAdds;
    done += size * (1 + dx);
    whole += size * (reached ? 2 : 1);
  };
  for (const layer of model.layers.filter(({name}) => name.endsWith('_proj'))) {
    const adapted = layer instanceof CELoRADense;
    const kernel = adapted ? layer.baseVariables().kernel : layer.weights[0]!;
    const [inputs, units] = kernel.shape as [number, number];
    count(inputs * units, adapted ? layer.gradient : undefined, !FIRST.test(layer.name));
  }
  count(config.hiddenSize * config.vocabSize, head, true);
  return ((batch / BATCH) * done) / whole;
}

/** Trains one configuration, and leaves the model as it was. */
async function train(
  row: Row,
  seed: number,
  {loaded, tokens, ...protocol}: Protocol,
): Promise<Omit<Result, 'data'>> {
  const {model} = loaded;
  const {steps, lr, length, windows} = protocol;
  applyCELoRA(model, {rank: RANK, alpha: ALPHA, seed, ...row.apply});
  const {loss, head} = lossOf(model, row.head);
  const curve: Result['curve'] = [];
  let [evaluating, began] = [0, 0];
  const start = performance.now();
  try {
    const result = await fineTune({
      model,
      data: textBatches(tokens.train, {length, batchSize: row.batch, seed}),
      loss,
      steps,
      learningRate: cosineSchedule(lr, {warmUp: WARM_UP, floor: 0.1}),
      budget: row.budget,
      evaluation: {
        data: announced(evenWindows(tokens.heldOut, {length, windows, batchSize: BATCH}), () => {
          began = performance.now();
        }),
        every: Math.max(1, Math.ceil(steps / EVALUATIONS)),
        keepBest: false,
      },
      onEvent(event) {
        if (event.type !== 'eval') return;
        curve.push({step: event.step, seconds: (began - start) / 1000 - evaluating, loss: event.loss});
        evaluating += (performance.now() - began) / 1000;
      },
    });
    const {losses} = result;
    const cost = costOf(row, loaded, head);
    const {seconds, loss: final} = curve.at(-1)!;
    return {row: row.name, seed, batch: row.batch, cost, loss: final, seconds, curve, losses};
  } finally {
    head.dispose();
    removeCELoRA(model);
  }
}

/** Mean and half the range of the seeds' losses, and the seconds, of each configuration. */
function table(results: readonly Result[]): string {
  const rows = [...new Set(results.map(({data, row}) => `${data}, ${row}`))].map((name) => {
    const runs = results.filter(({data, row}) => `${data}, ${row}` === name);
    const mean = (of: (run: Result) => number) => runs.reduce((sum, run) => sum + of(run), 0) / runs.length;
    const losses = runs.map(({loss}) => loss);
    return [
      name,
      mean(({cost}) => cost).toFixed(3),
      mean(({loss}) => loss).toFixed(4),
      ((Math.max(...losses) - Math.min(...losses)) / 2).toFixed(4),
      mean(({seconds}) => seconds).toFixed(1),
      runs.length,
    ];
  });
  return formatTable([['', 'cost', 'held-out loss', '±', 'seconds', 'seeds'], ...rows]);
}

/**
 * Held-out loss and seconds of every configuration, against exact LoRA and against exact LoRA at the same cost by smaller
 * batches: rank 16, alpha 32 on all projections, AdamW without decay, 20 steps of warm-up, cosine to a tenth, clipped at norm 1,
 * random windows of 256 tokens of the first nine tenths; 192 windows of the last tenth are held out. On a .jsonl of questions
 * the learning rate is 2e-3, else 1e-3.
 */
export const fidelitySuite: Suite = async ({fidelity, say, save}) => {
  const {model: folder, data: files, only, seeds, steps, windows, length} = fidelity;
  if (folder === undefined || files.length === 0)
    throw new Error('fidelity needs --model FOLDER and --data FILE');
  const loaded = await loadLlama(modelFolder(folder));
  const all = fidelityRows(loaded.config.numLayers);
  const rows = all.filter(({name}) => only === undefined || only.some((part) => name.includes(part)));
  if (rows.length === 0) {
    throw new Error(`--rows ${only?.join(', ')} is part of none of: ${all.map(({name}) => name).join('; ')}`);
  }
  const results: Result[] = [];
  for (const file of files) {
    const tokens = await readTokens(file, loaded.tokenizer);
    const data = basename(file);
    const lr = file.endsWith('.jsonl') ? 2e-3 : 1e-3;
    const protocol = {loaded, tokens, lr, length, windows};
    for (const row of rows) {
      // what a device compiles at the first step of a configuration is no part of its time
      await train(row, 0, {...protocol, steps: 2, windows: 1});
      for (const seed of seeds) {
        const result = {data, ...(await train(row, seed, {...protocol, steps}))};
        results.push(result);
        say(
          `${data}, ${row.name}, seed ${seed}: cost ${result.cost.toFixed(3)}, held-out ${result.loss.toFixed(4)}, ` +
            `${result.seconds.toFixed(1)} s`,
        );
        await save(results);
      }
    }
  }
  say(table(results));
  return results;
};
