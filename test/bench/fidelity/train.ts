import type {LoadedLlama} from '../../../demos/llama/load.ts';
import {
  type ActivationGradient,
  applyCELoRA,
  CELoRADense,
  cosineSchedule,
  fineTune,
  removeCELoRA,
  textBatches,
} from '../../../src/index.ts';
import {modelRunner} from '../../../src/model/apply_model.ts';
import {disposeBatch} from '../../../src/train/evaluate.ts';
import {branchOf} from './branches.ts';
import {divideBy} from './budgets.ts';
import {dataName, evenWindows, lossOf, type Tokens} from './data.ts';
import type {Job, Protocol, Result} from './entries.ts';
import {BATCH, type Row} from './rows.ts';
import {drawColumns, projectGradients} from './variants.ts';

const ALPHA = 32;
const RANK = 16;
const WARM_UP = 20;
const EVALUATIONS = 3;
/** Steps that are timed, two selections among them; and those before, in which the device compiles. */
const TIMED = 40;
const UNTIMED = 6;

/** Its input leads to nothing trainable, whatever is adapted: there is no dx. */
const FIRST = /layers\.0\..*[qkv]_proj$/;

/** Multiply-adds of a run's products, forward and dx, head included, as a fraction of exact LoRA's at the full batch. */
function costOf({batch, branches}: Row, {model, config}: LoadedLlama, head: ActivationGradient): number {
  let [done, whole] = [0, 0];
  const count = (size: number, gradient: ActivationGradient | undefined, reached: boolean, share = 1) => {
    const {multiplyAdds, savedMultiplyAdds} = gradient?.stats ?? {multiplyAdds: 0, savedMultiplyAdds: 0};
    const dx = multiplyAdds === 0 ? 0 : 1 - savedMultiplyAdds / multiplyAdds;
    done += size * (1 + share * dx);
    whole += size * (reached ? 2 : 1);
  };
  for (const layer of model.layers.filter(({name}) => name.endsWith('_proj'))) {
    const adapted = layer instanceof CELoRADense;
    const kernel = adapted ? layer.baseVariables().kernel : layer.weights[0]!;
    const [inputs, units] = kernel.shape as [number, number];
    // stats count what is computed: that of the tokens and passes that are left out is in none
    const share = branches && branchOf(branches, layer.name) ? branches.keep : 1;
    count(inputs * units, adapted ? layer.gradient : undefined, !FIRST.test(layer.name), share);
  }
  count(config.hiddenSize * config.vocabSize, head, true);
  return ((batch / BATCH) * done) / whole;
}

interface Trained {
  cost: number;
  curve: {step: number; loss: number}[];
  /** When the loss of each step was known, in milliseconds. */
  times: number[];
}

/** Trains one configuration, and leaves the model as it was. @param windows Held out; 0: there is no evaluation. */
async function train(
  row: Row,
  {seed, lr}: {seed: number; lr: number},
  {steps, length, windows}: Protocol,
  loaded: LoadedLlama,
  tokens: Tokens,
): Promise<Trained> {
  const {model} = loaded;
  applyCELoRA(model, {rank: RANK, alpha: ALPHA, seed, ...row.apply});
  if (row.drawn) drawColumns(model, row.drawn);
  if (row.projected) projectGradients(model, row.projected);
  const {loss, head} = lossOf(model, row, seed);
  const data = textBatches(tokens.train, {length, batchSize: row.batch, seed});
  const curve: Trained['curve'] = [];
  const times: number[] = [];
  try {
    if (row.division) {
      const batch = await data.batch(0);
      await divideBy(row.division, model, () => loss(batch, modelRunner(false)));
      disposeBatch(batch);
    }
    await fineTune({
      model,
      data,
      loss,
      steps,
      learningRate: cosineSchedule(lr, {warmUp: WARM_UP, floor: 0.1}),
      budget: row.budget,
      evaluation:
        windows === 0
          ? undefined
          : {
              data: evenWindows(tokens.heldOut, {length, windows, batchSize: BATCH}),
              every: Math.max(1, Math.ceil(steps / EVALUATIONS)),
              keepBest: false,
            },
      onEvent(event) {
        if (event.type === 'eval') curve.push({step: event.step, loss: event.loss});
        if (event.type === 'step') times.push(performance.now());
      },
    });
    return {cost: costOf(row, loaded, head), curve, times};
  } finally {
    head.dispose();
    removeCELoRA(model);
  }
}

/**
 * Does a job: rank 16, alpha 32 on all projections, AdamW without decay, 20 steps of warm-up, cosine to a tenth, clipped at
 * norm 1, random windows of the first nine tenths. On a .jsonl of questions the learning rate is 2e-3, else 1e-3.
 */
export async function perform(
  {kind, file, seed}: Job,
  row: Row,
  protocol: Protocol,
  loaded: LoadedLlama,
  tokens: Tokens,
): Promise<Result> {
  const settings = {seed, lr: file.endsWith('.jsonl') ? 2e-3 : 1e-3};
  const entry = {data: dataName(file), row: row.name, seed, batch: row.batch, ...protocol};
  if (kind === 'time') {
    const short = (steps: number) => ({...protocol, windows: 0, steps});
    await train(row, settings, short(UNTIMED), loaded, tokens);
    const {times} = await train(row, settings, short(TIMED), loaded, tokens);
    return {kind, ...entry, milliseconds: (times.at(-1)! - times[0]!) / (times.length - 1)};
  }
  const {cost, curve} = await train(row, settings, protocol, loaded, tokens);
  return {kind, ...entry, cost, loss: curve.at(-1)!.loss, curve};
}
