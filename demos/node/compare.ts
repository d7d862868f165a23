import {applyCELoRA, type CELoRAConfig, estimateCost, removeCELoRA} from '../../src/index.ts';
import {nextTurn} from './next_turn.ts';
import type {Options} from './options.ts';
import {progressBar} from './progress.ts';
import type {Task} from './task.ts';
import {train} from './train.ts';

export type Method = 'celora' | 'exact';

export interface MethodResult {
  /** Held-out loss after training; null if the run was interrupted. */
  loss: number | null;
  /** Training loss of every step. */
  losses: number[];
  seconds: number;
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

/** Ends a held-out evaluation that Ctrl-C cut short. */
class Interrupted extends Error {}

/** Exact LoRA is the same layer with nothing left out of its gradient: the same kernels, the same batches. */
function configFor(method: Method, celora: CELoRAConfig): CELoRAConfig {
  return method === 'celora' ? celora : {...celora, keep: 1};
}

/** Held-out loss of the model as it is now; null if it was interrupted. */
async function heldOutLoss(task: Task, title: string, signal: AbortSignal): Promise<number | null> {
  const bar = progressBar(`${title}: held-out loss`, 100, '%');
  try {
    return await task.heldOutLoss(async (done) => {
      bar.update(Math.round(done * 100));
      await nextTurn();
      if (signal.aborted) throw new Interrupted();
    });
  } catch (error) {
    if (error instanceof Interrupted) return null;
    throw error;
  } finally {
    bar.stop();
  }
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
  const {configured, exactLoRA} = estimateCost(task.model, task.unitsPerStep).total;
  const bar = progressBar(TITLES[method], task.steps, 'steps');
  const start = performance.now();
  const {losses, seconds} = await train(task, {
    lr: options.lr,
    signal,
    onStep(step, loss) {
      const perSecond = (step * task.unitsPerStep) / ((performance.now() - start) / 1000);
      bar.update(step, {info: `, loss ${loss.toFixed(3)}, ${perSecond.toFixed(0)} ${task.unit}/s`});
    },
  }).finally(() => bar.stop());
  if (method === 'celora') await hooks.onTrained();
  const loss = losses.length < task.steps ? null : await heldOutLoss(task, TITLES[method], signal);
  if (loss !== null) {
    say(`${TITLES[method]}: held-out loss ${loss.toFixed(4)} after ${seconds.toFixed(1)} s`);
    if (method === 'celora') say(`sample after: ${await task.sample()}`);
  }
  removeCELoRA(task.model);
  const exactSteps = Math.min(config.exactSteps, losses.length);
  return {
    loss,
    losses,
    seconds,
    tokensPerSecond: (losses.length * task.unitsPerStep) / seconds,
    multiplyAdds:
      exactSteps * (exactLoRA.forward + exactLoRA.backward) +
      (losses.length - exactSteps) * (configured.forward + configured.backward),
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

/** Who won, in loss and in seconds, whoever it is. */
export function verdict({celora, exact}: Comparison): string {
  if (celora?.loss == null || exact?.loss == null) return 'No comparison was made.';
  const [better, lossGap] =
    celora.loss <= exact.loss
      ? ['CE-LoRA', exact.loss - celora.loss]
      : ['exact LoRA', celora.loss - exact.loss];
  const [faster, ratio] =
    celora.seconds <= exact.seconds
      ? ['CE-LoRA', exact.seconds / celora.seconds]
      : ['exact LoRA', celora.seconds / exact.seconds];
  const macs = (100 * (1 - celora.multiplyAdds / exact.multiplyAdds)).toFixed(0);
  return (
    `Lower held-out loss: ${better}, by ${lossGap.toFixed(4)}. Faster: ${faster}, ${ratio.toFixed(2)} times. ` +
    `CE-LoRA left out ${macs} % of the multiply-adds in Dense layers.`
  );
}
