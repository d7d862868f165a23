import {LossChart} from '../page/chart.ts';
import type {WorkerClient} from '../page/client.ts';
import {byId, make} from '../page/dom.ts';
import {download} from '../page/download.ts';
import {onFiles} from '../page/drop.ts';
import type {Phase} from '../page/phase.ts';
import {count} from '../page/units.ts';
import {DEFAULT_SETTINGS, problemsOf} from '../settings.ts';
import {labelledImages} from './images.ts';
import type {DataSource, DenseInfo, Fit, LayersSettings} from './protocol.ts';

/** Label, default and step of each. */
const FIELDS: Record<keyof LayersSettings, [label: string, value: number]> = {
  steps: ['Steps', 200],
  batch: ['Batch', 32],
  learningRate: ['Learning rate', 0.003],
  rank: ['Rank', DEFAULT_SETTINGS.rank],
  keep: ['Keep', DEFAULT_SETTINGS.keep],
  seed: ['Seed', 0],
};

const shown = ({loss, accuracy}: Fit): string =>
  accuracy === undefined
    ? `loss ${loss.toFixed(4)}`
    : `${(100 * accuracy).toFixed(1)} % right, loss ${loss.toFixed(4)}`;

/** The layers to choose from, each with its multiply-adds of a row. */
function tableOf(layers: readonly DenseInfo[]): HTMLTableElement {
  const head = ['', 'layer', 'in\u00a0→\u00a0out', 'all trained', 'exact LoRA', 'CE-LoRA'];
  const rows = layers.map(({name, inputs, units, full, exactLoRA, celora}) => {
    const box = make('input', {type: 'checkbox', checked: true, value: name, ariaLabel: `Convert ${name}`});
    const cells = [name, `${inputs}\u00a0→\u00a0${units}`, ...[full, exactLoRA, celora].map(count)];
    return make('tr', {}, make('td', {}, box), ...cells.map((cell) => make('td', {}, cell)));
  });
  return make(
    'table',
    {},
    make(
      'caption',
      {className: 'quiet'},
      'Dense layers, and their multiply-adds for a row, forward and backward',
    ),
    make('thead', {}, make('tr', {}, ...head.map((title) => make('th', {scope: 'col'}, title)))),
    make('tbody', {}, ...rows),
  );
}

/** Loads a layers-model, lets its layers and data be chosen, trains it and gives it back. */
export function mountLayers(client: WorkerClient, phase: Phase): void {
  const about = byId('layers-about');
  const choice = byId('layers-choice');
  const dataAbout = byId('layers-data-about');
  const progress = byId<HTMLProgressElement>('layers-progress');
  const stop = byId<HTMLButtonElement>('layers-stop');
  const chart = new LossChart(byId('layers-chart'), ['celora']);
  let data: DataSource | undefined;
  /** What is said if what is under way fails. */
  let failed: string | undefined;

  const controls = Object.entries(FIELDS).map(([name, [label, value]]) => {
    const input = make('input', {id: `layers-${name}`, name, type: 'number', step: 'any', value: `${value}`});
    byId('layers-settings').append(make('label', {}, label, input));
    return input;
  });
  const settings = () =>
    Object.fromEntries(
      controls.map(({name, valueAsNumber}) => [name, valueAsNumber]),
    ) as unknown as LayersSettings;
  const begin = (what: string, ifItFails: string) => {
    phase.enter('starting');
    about.textContent = what;
    failed = ifItFails;
  };
  const chooseData = (source: DataSource, what: string) => {
    data = source;
    dataAbout.textContent = what;
  };

  onFiles(byId('layers-drop'), (files) => {
    begin('Loading…', 'It was not loaded.');
    client.send({type: 'layers-load', files});
  });
  onFiles(byId('layers-csv'), ([file]) => chooseData({kind: 'csv', file: file!}, file!.name));
  onFiles(byId('layers-images'), (files) => {
    const images = labelledImages(files);
    const labels = new Set(images.map(({label}) => label));
    chooseData({kind: 'images', images}, `${images.length} images of ${labels.size} labels`);
  });
  byId('layers-settings').addEventListener('submit', (event) => event.preventDefault());
  byId('layers-train').addEventListener('click', () => {
    if (data === undefined) {
      dataAbout.textContent = 'Choose a CSV or a folder of images first.';
      return;
    }
    const boxes = [...choice.querySelectorAll<HTMLInputElement>('td input')];
    const layers = boxes.filter(({checked}) => checked).map(({value}) => value);
    if (layers.length === 0) {
      dataAbout.textContent = 'Choose a layer to convert first.';
      return;
    }
    const [problem] = Object.entries(problemsOf({...DEFAULT_SETTINGS, ...settings()}, Infinity));
    if (problem) {
      const [name, what] = problem as [keyof LayersSettings, string];
      dataAbout.textContent = `${FIELDS[name][0]} ${what}.`;
      byId(`layers-${name}`).focus();
      return;
    }
    const job = {data, layers, settings: settings()};
    chart.clear();
    progress.max = job.settings.steps;
    progress.value = 0;
    stop.disabled = false;
    begin('Reading the data…', 'It was not trained, and is as it was.');
    client.send({type: 'layers-train', job});
  });
  stop.addEventListener('click', () => client.send({type: 'layers-stop'}));
  byId('layers-save').addEventListener('click', () => client.send({type: 'layers-save'}));

  const end = () => {
    failed = undefined;
    stop.disabled = true;
    phase.settle();
  };
  client.on('layers-loaded', ({info}) => {
    const {name, parameters, input, outputs, layers} = info;
    about.textContent = `${name}: ${count(parameters)} parameters, [${input}] → ${outputs}`;
    choice.replaceChildren(tableOf(layers));
    byId('layers-work').hidden = false;
    end();
  });
  let before = '';
  client.on('layers-begun', (event) => {
    before = shown(event.before);
    about.textContent =
      `${event.about}. Held out, before: ${before}. ` +
      `Exact LoRA has ${event.ceiling.toFixed(2)} times the multiply-adds.`;
  });
  client.on('layers-step', ({step, loss}) => {
    progress.value = step;
    chart.add('celora', step, loss);
  });
  client.on('layers-trained', ({after, seconds}) => {
    about.textContent = `Held out, before: ${before}; after: ${shown(after)}; ${seconds.toFixed(1)} s.`;
    end();
  });
  client.on('layers-saved', ({name, zip}) => download(name, zip));
  client.on('error', () => {
    if (failed !== undefined) about.textContent = failed;
    failed = undefined;
    stop.disabled = true;
  });
  client.on('started', () => {
    // a worker that is new has no layers-model
    byId('layers-work').hidden = true;
  });
}
