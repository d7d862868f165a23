import {
  applyCELoRA,
  type CELoRAConfig,
  type Evaluation,
  estimateCost,
  evaluateLoss,
  removeCELoRA,
} from '../../src/index.ts';
import {celoraLayers} from '../../src/model/convert.ts';
import type {Options} from './options.ts';
import {progressBar} from './progress.ts';
import type {Task} from './task.ts';
import {train} from './train.ts';
import {UserError} from './user_error.ts';

export type Method = 'celora' | 'exact';

export interface MethodResult {
  /** Held-out loss after training; null if the run was interrupted. */
  loss: number | null;
  /** Training loss of every step. */
  losses: number[];
  /** Held-out losses on the way, where they were asked for. */
  evaluations: Evaluation[];
  /** Of the whole run; the method that runs first compiles what both use. */
  seconds: number;
  /** The mean of the second half of the steps, when everything is compiled; null where there were fewer than two. */
  secondsPerStep: number | null;
  tokensPerSecond: number;
  /** Multiply-adds of the Dense layers over the whole run. */
  multiplyAdds: number;
}

export interface Comparison {
  /** Held-out loss before training; null if the run was interrupted before it was known. */
  baseLoss: number | null;
  interrupted: boolean;
  celora?: MethodResult;
  exact?: MethodResult;
}

export interface Hooks {
  signal: AbortSignal;
  say: (line: string) => void;
  /** Called while the model holds what CE-LoRA learned. */
  onTrained: () => Promise<void>;
}

const TITLES: Record<Method, string> = {celora: 'CE-LoRA', exact: 'exact LoRA'};

/** Exact LoRA is the same layer with nothing left out of its gradient: the same kernels, the same batches. */
function configFor(method: Method, celora: CELoRAConfig): CELoRAConfig {
  return method === 'celora' ? celora : {...celora, keep: 1};
}

/** The mean of the second half of the steps, whose times are in milliseconds. */
function secondsPerStep(times: readonly number[]): number | null {
  const half = times.slice(Math.ceil(times.length / 2));
  return half.length === 0 ? null : half.reduce((sum, time) => sum + time, 0) / 1000 / half.length;
}

/** Held-out loss of the model as it is now; null if it was interrupted. */
async function heldOutLoss(task: Task, title: string, signal: AbortSignal): Promise<number | null> {
  const bar = progressBar(`${title}: held-out loss`, 100, '%');
  try {
    return await evaluateLoss(task.heldOut, (batch, apply) => task.loss(batch, apply), {
      signal,
      onProgress: (done, total) => bar.update(Math.round((100 * done) / total)),
    });
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    bar.stop();
  }
}

/** Multiply-adds of a run in the model's Dense layers, as it is converted: exact LoRA's but for what was saved. */
function multiplyAdds({model, unitsPerBatch}: Task, batches: number): number {
  const {forward, backward} = estimateCost(model, unitsPerBatch).total.exactLoRA;
  const saved = celoraLayers(model).map(({gradient}) => gradient.stats.savedMultiplyAdds);
  return batches * (forward + backward) - saved.reduce((sum, one) => sum + one, 0);
}

/** Fine-tunes with one method, and leaves the model as it was. */
async function fineTune(task: Task, method: Method, options: Options, hooks: Hooks): Promise<MethodResult> {
  const {say, signal} = hooks;
  const config = configFor(method, options.celora);
  const report = applyCELoRA(task.model, {...config, target: options.target ?? task.target});
  if (method === 'celora') {
    const share = ((100 * report.trainableParams) / report.totalParams).toFixed(1);
    say(`${report.layers.length} layers adapted, ${report.trainableParams} parameters trained (${share} %)`);
  }
  const unitsPerStep = task.unitsPerBatch * options.accumulate;
  const bar = progressBar(TITLES[method], task.steps, 'steps');
  const start = performance.now();
  const times: number[] = [];
  let last = start;
  let before = 0;
  const saveAdapter = async () => {
    if (method === 'celora') await hooks.onTrained();
  };
  const result = await train(task, method, options, {
    signal,
    onResume(step) {
      before = step;
      bar.update(step);
    },
    onPause() {
      last = performance.now();
    },
    onStep(step, loss, heldOut) {
      const now = performance.now();
      times.push(now - last);
      last = now;
      const perSecond = ((step - before) * unitsPerStep) / ((now - start) / 1000);
      const best = heldOut === undefined ? '' : `, held out ${heldOut.toFixed(3)}`;
      bar.update(step, {info: `, loss ${loss.toFixed(3)}${best}, ${perSecond.toFixed(0)} ${task.unit}/s`});
    },
  })
    .catch(async (error: Error) => {
      // the model has its last good weights
      if (error instanceof UserError) await saveAdapter();
      throw error;
    })
    .finally(() => bar.stop());
  await saveAdapter();
  const {losses, evaluations, seconds} = result;
  const loss = result.reason === 'aborted' ? null : await heldOutLoss(task, TITLES[method], signal);
  if (result.reason === 'patience')
    say(`${TITLES[method]}: stopped early, best at step ${result.best!.step}`);
  if (loss !== null) {
    say(`${TITLES[method]}: held-out loss ${loss.toFixed(4)} after ${seconds.toFixed(1)} s`);
    if (method === 'celora') say(`sample after: ${await task.sample()}`);
  }
  const adds = multiplyAdds(task, losses.length * options.accumulate);
  removeCELoRA(task.model);
  return {
    loss,
    losses,
    evaluations,
    seconds,
    secondsPerStep: secondsPerStep(times),
    tokensPerSecond: (losses.length * unitsPerStep) / seconds,
    multiplyAdds: adds,
  };
}

/** Fine-tunes with CE-LoRA, then with exact LoRA from the same start on the same batches. */
export async function compare(task: Task, options: Options, hooks: Hooks): Promise<Comparison> {
  const {say, signal} = hooks;
  const baseLoss = await heldOutLoss(task, 'before', signal);
  const result: Comparison = {baseLoss, interrupted: false};
  if (baseLoss !== null) {
    say(`held-out loss before: ${baseLoss.toFixed(4)}`);
    say(`sample before: ${await task.sample()}`);
  }
  for (const method of options.compare ? (['celora', 'exact'] as const) : (['celora'] as const)) {
    if (!signal.aborted) result[method] = await fineTune(task, method, options, hooks);
  }
  return {...result, interrupted: signal.aborted};
}

/** Who won, in loss and in the time of a step, whoever it is. */
export function verdict({celora, exact}: Comparison): string {
  if (celora?.loss == null || exact?.loss == null) return 'No comparison was made.';
  const [better, lossGap] =
    celora.loss <= exact.loss
      ? ['CE-LoRA', exact.loss - celora.loss]
      : ['exact LoRA', celora.loss - exact.loss];
  const macs = (100 * (1 - celora.multiplyAdds / exact.multiplyAdds)).toFixed(0);
  return (
    `Lower held-out loss: ${better}, by ${lossGap.toFixed(4)}. ${timesOfSteps(celora, exact)}` +
    `CE-LoRA left out ${macs} % of the multiply-adds in Dense layers.`
  );
}

/** Whose step took less time, once everything was compiled; nothing where there were too few. */
function timesOfSteps({secondsPerStep: celora}: MethodResult, {secondsPerStep: exact}: MethodResult): string {
  if (celora === null || exact === null) return '';
  const faster = celora <= exact ? 'CE-LoRA' : 'exact LoRA';
  const [less, more] = [Math.min(celora, exact), Math.max(celora, exact)];
  const milliseconds = (seconds: number) => Number((1000 * seconds).toPrecision(3));
  return (
    `Faster: ${faster}, ${(more / less).toFixed(2)} times: ${milliseconds(less)} ms a step instead of ${milliseconds(more)} ` +
    '(mean of the second half). '
  );
}
