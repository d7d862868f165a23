import type {Method, StepFigures, TextSource} from '../protocol.ts';
import type {Settings} from '../settings.ts';
import type {LossChart} from './chart.ts';
import type {WorkerClient} from './client.ts';
import {byId, make} from './dom.ts';
import type {Phase} from './phase.ts';
import {Results, TITLES} from './results.ts';
import type {Strips} from './strips.ts';
import {bytes, count, duration, percent} from './units.ts';

interface Parts {
  chart: LossChart;
  strips: Strips;
  /** Undefined where something is missing. */
  readText: () => TextSource | undefined;
  /** Undefined where one is wrong. */
  readSettings: () => Settings | undefined;
}

/** @param memoryLabel What the memory is of. */
function showFigures(method: Method, steps: number, memoryLabel: string, figures: StepFigures): void {
  const {step, loss, tokensPerSecond, secondsLeft, memory, saved, multiplyAdds} = figures;
  const shown = {
    [`${TITLES[method]}, step`]: `${step} of ${steps}`,
    loss: loss.toFixed(3),
    'tokens/s': tokensPerSecond.toFixed(0),
    'time left': duration(secondsLeft),
    [memoryLabel]: bytes(memory),
    'multiply-adds saved': `${count(saved)} (${percent(saved / multiplyAdds)})`,
  };
  byId('figures').replaceChildren(
    ...Object.entries(shown).map(([name, value]) =>
      make('div', {}, make('dt', {}, name), make('dd', {}, value)),
    ),
  );
}

/** Starts, pauses and ends a run, and shows how it goes. */
export function mountTraining(client: WorkerClient, phase: Phase, parts: Parts): void {
  const {chart, strips} = parts;
  const results = new Results();
  const progress = byId<HTMLProgressElement>('train-progress');
  const stage = byId('stage');
  let steps = 0;
  let last: StepFigures | undefined;
  let isUnderWay = false;
  let memory = 'memory';

  const at = () => (last ? ` at step ${last.step} of ${steps}` : '');
  const begin = () => {
    phase.enter('training');
    isUnderWay = true;
    last = undefined;
  };
  byId('train').addEventListener('click', () => {
    const [text, settings] = [parts.readText(), parts.readSettings()];
    if (!text || !settings) return;
    begin();
    stage.textContent = 'Reading the text, and the held-out loss of the base model…';
    client.send({type: 'train', job: {text, settings}});
  });
  byId('pause').addEventListener('click', () => client.send({type: 'pause'}));
  byId('continue').addEventListener('click', () => {
    begin();
    client.send({type: 'continue'});
  });
  byId('stop').addEventListener('click', () => {
    client.send({type: phase.current === 'paused' ? 'discard' : 'stop'});
  });

  client.on('started', ({info}) => {
    memory = info.backend === 'webgpu' ? 'GPU memory' : 'memory';
  });
  client.on('resumable', ({textName}) => {
    phase.rest = 'paused';
    stage.textContent = `A run on ${textName} was not ended: it can be resumed where it was last saved, or stopped.`;
  });
  client.on('prepared', ({about, baseLoss}) => {
    stage.textContent = about;
    chart.clear();
    results.begin(baseLoss);
  });
  client.on('begun', ({method, layers, ...event}) => {
    steps = event.steps;
    last = undefined;
    progress.value = 0;
    stage.textContent = `${TITLES[method]}: ${layers.length} layers, ${count(event.trainable)} parameters train`;
    if (method === 'celora') strips.begin(layers);
  });
  client.on('resumed', ({method, losses}) => {
    chart.set(method, losses);
    progress.value = losses.length / steps;
  });
  client.on('step', ({method, figures}) => {
    last = figures;
    progress.value = figures.step / steps;
    chart.add(method, figures.step, figures.loss);
    showFigures(method, steps, memory, figures);
  });
  client.on('selected', ({layers}) => strips.show(layers));
  client.on('ended', ({method, heldOut, seconds}) => {
    if (heldOut === undefined) return;
    results.end(method, heldOut, seconds, last && last.saved / last.multiplyAdds);
  });
  client.on('error', ({kind}) => {
    if (kind === 'diverged') {
      // it was given up, also if it was one to continue
      phase.rest = 'ready';
      phase.settle();
    }
    if (isUnderWay) stage.textContent = last ? `Ended${at()} by an error.` : 'It did not begin.';
    isUnderWay = false;
  });
  client.on('trained', ({end}) => {
    isUnderWay = false;
    phase.rest = end === 'paused' ? 'paused' : 'ready';
    stage.textContent = {done: 'Done.', paused: `Paused${at()}, and saved.`, stopped: `Stopped${at()}.`}[end];
    phase.settle();
  });
}
