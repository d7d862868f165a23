import {applyCELoRA, type CELoRAConfig, estimateCost, removeCELoRA} from '../../src/index.ts';
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
  baseLoss: number;
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

/** Fine-tunes with CE-LoRA, then with exact LoRA from the same start on the same batches. */
export async function compare(task: Task, options: Options, hooks: Hooks): Promise<Comparison> {
  const {say, signal} = hooks;
  const heldOut = async (title: string): Promise<number> => {
    const bar = progressBar(`${title}: held-out loss`, 100, '%');
    try {
      return await task.heldOutLoss((done) => bar.update(Math.round(done * 100)));
    } finally {
      bar.stop();
    }
  };
  const baseLoss = await heldOut('before');
  say(`held-out loss before: ${baseLoss.toFixed(4)}`);
  say(`sample before: ${await task.sample()}`);
  const result: Comparison = {baseLoss, interrupted: false};
  for (const method of options.compare ? (['celora', 'exact'] as const) : (['celora'] as const)) {
    if (signal.aborted) {
      result.interrupted = true;
      break;
    }
    const config = configFor(method, options.celora);
    const report = applyCELoRA(task.model, {...config, target: options.target ?? task.target});
    if (method === 'celora') {
      const share = ((100 * report.trainableParams) / report.totalParams).toFixed(1);
      say(
        `${report.layers.length} layers adapted, ${report.trainableParams} parameters trained (${share} %)`,
      );
    }
    const cost = estimateCost(task.model, task.unitsPerStep).total.configured;
    const bar = progressBar(TITLES[method], task.steps, 'steps', {loss: '', rate: ''});
    const start = performance.now();
    let trained: Awaited<ReturnType<typeof train>>;
    try {
      trained = await train(task, {
        lr: options.lr,
        signal,
        onStep(step, loss) {
          const perSecond = (step * task.unitsPerStep) / ((performance.now() - start) / 1000);
          bar.update(step, {loss: `loss ${loss.toFixed(3)}`, rate: `${perSecond.toFixed(0)} ${task.unit}/s`});
        },
      });
    } finally {
      bar.stop();
    }
    if (method === 'celora') await hooks.onTrained();
    const {losses, seconds} = trained;
    result.interrupted = losses.length < task.steps;
    const loss = result.interrupted ? null : await heldOut(TITLES[method]);
    result[method] = {
      loss,
      losses,
      seconds,
      tokensPerSecond: (losses.length * task.unitsPerStep) / seconds,
      multiplyAdds: losses.length * (cost.forward + cost.backward),
    };
    if (loss !== null) {
      say(`${TITLES[method]}: held-out loss ${loss.toFixed(4)} after ${seconds.toFixed(1)} s`);
      if (method === 'celora') say(`sample after: ${await task.sample()}`);
    }
    removeCELoRA(task.model);
  }
  return result;
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
