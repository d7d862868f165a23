import type {Method, StepFigures, TextSource} from '../protocol.ts';
import type {Settings} from '../settings.ts';
import type {LossChart} from './chart.ts';
import type {WorkerClient} from './client.ts';
import {byId, make} from './dom.ts';
import type {Phase} from './phase.ts';
import type {Strips} from './strips.ts';
import {bytes, count, duration, percent} from './units.ts';

const TITLES: Record<Method, string> = {celora: 'CE-LoRA', exact: 'Exact LoRA'};

interface Parts {
  chart: LossChart;
  strips: Strips;
  readText: () => TextSource;
  /** Undefined where one is wrong. */
  readSettings: () => Settings | undefined;
}

function showFigures(steps: number, figures: StepFigures): void {
  const {step, loss, tokensPerSecond, secondsLeft, memory, saved, multiplyAdds} = figures;
  const shown = {
    step: `${step} of ${steps}`,
    loss: loss.toFixed(3),
    'tokens/s': tokensPerSecond.toFixed(0),
    'time left': duration(secondsLeft),
    memory: bytes(memory),
    'multiply-adds saved': `${count(saved)} (${percent(saved / multiplyAdds)})`,
  };
  byId('figures').replaceChildren(
    ...Object.entries(shown).map(([name, value]) =>
      make('div', {}, make('dt', {}, name), make('dd', {}, value)),
    ),
  );
}

export function mountTraining(
  client: WorkerClient,
  phase: Phase,
  {chart, strips, readText, readSettings}: Parts,
): void {
  const progress = byId<HTMLProgressElement>('train-progress');
  const stage = byId('stage');
  let steps = 0;
  byId('train').addEventListener('click', () => {
    const settings = readSettings();
    if (!settings) return;
    chart.clear();
    phase.enter('training');
    stage.textContent = 'Reading the text, and the held-out loss of the base model…';
    client.send({type: 'train', job: {text: readText(), settings}});
  });
  byId('pause').addEventListener('click', () => client.send({type: 'pause'}));
  byId('stop').addEventListener('click', () => client.send({type: 'stop'}));
  byId('continue').addEventListener('click', () => {
    phase.enter('training');
    client.send({type: 'continue'});
  });
  client.on('prepared', ({about, baseLoss}) => {
    stage.textContent = `${about}; held-out loss before ${baseLoss.toFixed(3)}`;
  });
  client.on('begun', ({method, layers, ...event}) => {
    steps = event.steps;
    progress.value = 0;
    stage.textContent = `${TITLES[method]}: ${layers.length} layers, ${count(event.trainable)} parameters train`;
    if (method === 'celora') strips.begin(layers);
  });
  client.on('resumed', ({method, losses}) => chart.set(method, losses));
  client.on('step', ({method, figures}) => {
    progress.value = figures.step / steps;
    chart.add(method, figures.step, figures.loss);
    showFigures(steps, figures);
  });
  client.on('selected', ({layers}) => strips.show(layers));
  client.on('ended', ({method, heldOut, seconds}) => {
    const loss = heldOut === undefined ? '' : `, held-out loss ${heldOut.toFixed(3)}`;
    stage.textContent = `${TITLES[method]}: ${duration(seconds)}${loss}`;
  });
}
