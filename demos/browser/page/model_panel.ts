import {modelFolderFiles} from '../../llama/source_files.ts';
import type {BackendChoice, BackendInfo, ModelInfo, ModelSource} from '../protocol.ts';
import type {Settings} from '../settings.ts';
import type {WorkerClient} from './client.ts';
import {byId} from './dom.ts';
import {onFiles} from './drop.ts';
import {notify} from './notices.ts';
import type {Phase} from './phase.ts';
import {bytes, count} from './units.ts';

const NONE = 'No model is loaded.';
const SLOW = 'there CE-LoRA saves little time; what it keeps, and what it learns, is the same.';

function announce({backend, device, isSoftware, reason}: BackendInfo): void {
  byId('backend').textContent = device;
  if (reason !== '') {
    notify(
      `No GPU is used: ${reason}. WebAssembly computes on the processor, many times slower, and ${SLOW}`,
    );
  } else if (backend === 'webgpu' && isSoftware) {
    notify(`WebGPU runs on the processor here, slower than WebAssembly does, and ${SLOW}`);
  }
}

/** The folder that was chosen or dropped. */
function folderName([file]: readonly File[]): string {
  const [folder, ...below] = file?.webkitRelativePath.split('/') ?? [];
  return folder && below.length > 0 ? folder : 'the model that was chosen';
}

const described = ({name, parameters, layers, hidden, maxPositions, base}: ModelInfo): string =>
  `${name}: ${count(parameters)} parameters, ${layers} layers, hidden ${hidden}, ${maxPositions} positions` +
  (base === 'float32' ? '' : `, held as ${base}`);

/** Loads the model, shows its progress, and lets another be chosen. @param settings Those of the page as they are. */
export function mountModel(
  client: WorkerClient,
  phase: Phase,
  settings: () => Settings,
): {start: () => void} {
  const progress = byId<HTMLProgressElement>('model-progress');
  const about = byId('model-about');
  const backend = byId<HTMLSelectElement>('backend-choice');
  let source: ModelSource = {kind: 'embedded'};
  let asked: ModelSource = source;
  /** What there is. */
  let current = NONE;

  const showLoaded = (what: string) => {
    current = what;
    progress.hidden = true;
    about.textContent = what;
  };
  const load = (given: ModelSource) => {
    asked = given;
    phase.enter('starting');
    progress.hidden = false;
    progress.removeAttribute('value');
    about.textContent = 'Loading…';
    client.send({type: 'load', source: given, base: settings().base});
  };
  const begin = () => {
    phase.enter('starting');
    client.start(backend.value as BackendChoice);
  };
  backend.addEventListener('change', begin);
  // the paths of dropped files are lost on their way to the worker
  onFiles(byId('model-drop'), (files) => {
    load({kind: 'files', name: folderName(files), files: modelFolderFiles(files)});
  });
  byId('model-url').addEventListener('submit', (event) => {
    event.preventDefault();
    const {value} = byId('model-url').querySelector('input')!;
    load({kind: 'url', url: value});
  });
  byId('model-embedded').addEventListener('click', () => load({kind: 'embedded'}));

  client.on('started', ({info}) => {
    announce(info);
    current = NONE;
    phase.rest = 'empty';
    load(source);
  });
  client.on('loading', ({loaded, total}) => {
    progress.hidden = false;
    progress.max = total;
    progress.value = loaded;
    about.textContent = `${bytes(loaded)} of ${bytes(total)}`;
  });
  client.on('loaded', ({info}) => {
    source = asked;
    showLoaded(described(info));
    phase.rest = 'ready';
    phase.settle();
  });
  client.on('reloaded', ({info}) => showLoaded(described(info)));
  // the model from before is still there, if there was one
  client.on('error', () => showLoaded(current));
  return {start: begin};
}
