import {
  type AdapterFiles,
  type ApplyModel,
  adapterFiles,
  applyCELoRA,
  type CheckpointStore,
  type CostReport,
  cosineSchedule,
  estimateCost,
  evaluateLoss,
  fineTune,
  NonFiniteLossError,
  removeCELoRA,
  type TokenBatch,
} from '../../../src/index.ts';
import type {LoadedLlama} from '../../llama/load.ts';
import {nextTokenLoss} from '../../llama/loss.ts';
import type {TextBatches} from '../../llama/text_batches.ts';
import type {Event, Method} from '../protocol.ts';
import {CELORA_SETTINGS, type Settings} from '../settings.ts';
import {bySettings} from './errors.ts';
import {usedMemory} from './memory.ts';
import {adapted, readSelections} from './selections.ts';

/** Steps over which speed is averaged. */
const WINDOW = 20;
/** Steps that a lost GPU costs at most. */
const SAVE_EVERY = 20;

export interface RunContext {
  llama: LoadedLlama;
  /** The base's name, for the adapter's files. */
  baseModel: string;
  batches: TextBatches;
  settings: Settings;
  emit: (event: Event) => void;
  /** Takes what was trained. */
  keep: (method: Method, files: AdapterFiles) => void;
  signal: AbortSignal;
}

/** Exact LoRA is the same layer with nothing left out of its gradient: the same kernels, the same batches. */
function convert({llama, settings}: RunContext, method: Method) {
  const config = Object.fromEntries(CELORA_SETTINGS.map((name) => [name, settings[name]]));
  const keep = method === 'exact' ? 1 : settings.keep;
  const target = new RegExp(settings.target);
  return bySettings(() => applyCELoRA(llama.model, {...config, keep, target}));
}

const lossOf =
  ({model}: LoadedLlama) =>
  ({ids, labels, segments}: TokenBatch, apply: ApplyModel) =>
    nextTokenLoss(model, ids, labels, {segments, apply});

/** The held-out loss of the model as it is now; undefined if it was interrupted. */
export async function heldOutLoss({llama, batches, signal}: RunContext): Promise<number | undefined> {
  try {
    return await evaluateLoss(batches.heldOut, lossOf(llama), {signal});
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** Multiply-adds of a number of steps: what exact LoRA takes, and how much of it approximating has saved. */
function savings({llama}: RunContext, {total}: CostReport, steps: number) {
  const {forward, backward} = total.exactLoRA;
  const saved = adapted(llama.model).map(({gradient}) => gradient.stats.savedMultiplyAdds);
  return {multiplyAdds: steps * (forward + backward), saved: saved.reduce((sum, one) => sum + one, 0)};
}

/**
 * Fine-tunes with one method, from the store's last checkpoint if it has one, and leaves the model as it was.
 * @throws NonFiniteLossError if it diverges; the adapter with the last good weights is kept.
 */
export async function runMethod(context: RunContext, method: Method, store: CheckpointStore): Promise<void> {
  const {llama, baseModel, batches, settings, emit, keep, signal} = context;
  const {steps, batch, seq, learningRate, budget} = settings;
  const {layers, trainableParams} = convert(context, method);
  const keepAdapter = async () =>
    keep(method, await adapterFiles(llama.model, {baseModel, taskType: 'CAUSAL_LM'}));
  try {
    const cost = estimateCost(llama.model, batch * seq);
    emit({type: 'begun', method, steps, trainable: trainableParams, layers: layers.map(({name}) => name)});
    const times: number[] = [performance.now()];
    const {reason, seconds} = await fineTune({
      model: llama.model,
      data: batches.data,
      loss: lossOf(llama),
      steps,
      learningRate: cosineSchedule(learningRate, {warmUp: 0.05, floor: 0.1}),
      budget,
      checkpoints: {store, every: SAVE_EVERY, resume: true},
      signal,
      onEvent(event) {
        if (event.type === 'refresh') {
          readSelections(llama.model, event.layers).then(
            (selections) => emit({type: 'selected', step: event.step, layers: selections}),
            () => {}, // a device that fails fails the step too
          );
        }
        if (event.type === 'resume') emit({type: 'resumed', method, losses: [...event.losses]});
        if (event.type !== 'step') return;
        const {step, loss} = event;
        times.push(performance.now());
        if (times.length > WINDOW) times.shift();
        const secondsPerStep = (times.at(-1)! - times[0]!) / 1000 / (times.length - 1);
        const tokensPerSecond = (batch * seq) / secondsPerStep;
        const secondsLeft = (steps - step) * secondsPerStep;
        const figures = {step, loss, tokensPerSecond, secondsLeft, memory: usedMemory()};
        emit({type: 'step', method, figures: {...figures, ...savings(context, cost, step)}});
      },
    });
    const heldOut = reason === 'aborted' ? undefined : await heldOutLoss(context);
    emit({type: 'ended', method, heldOut, seconds});
    await keepAdapter();
  } catch (error) {
    // the model has its last good weights
    if (error instanceof NonFiniteLossError) await keepAdapter();
    throw error;
  } finally {
    removeCELoRA(llama.model);
  }
}
