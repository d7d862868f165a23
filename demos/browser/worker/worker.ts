import '@tensorflow/tfjs-layers'; // registers gradients
import {LayersSession} from '../layers/session.ts';
import type {ErrorKind, Event, Request} from '../protocol.ts';
import {startBackend, watchDevice} from './backend.ts';
import {classify} from './errors.ts';
import {Session} from './session.ts';
import {zipOf} from './zip.ts';

const emit = (event: Event): void => self.postMessage(event);

/** In which a GPU is known to be lost after what was under way on it has failed. */
const LOSS_MS = 200;

let session: Session | undefined;
const layers = new LayersSession(emit);
/** Nothing can be told any more but that the worker must be started anew, and that once. */
let isBroken = false;

function breakDown(kind: ErrorKind, message: string): void {
  if (isBroken) return;
  isBroken = true;
  emit({type: 'error', kind, message, fatal: true});
}

async function report(error: unknown, {type}: Request): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, LOSS_MS));
  const {kind, message, fatal} = classify(error);
  if (fatal) breakDown(kind, message);
  else if (!isBroken) {
    emit({type: 'error', kind: kind === 'file' && type === 'load' ? 'model' : kind, message, fatal});
  }
}

async function start({backend, page}: Extract<Request, {type: 'start'}>): Promise<void> {
  let info: Awaited<ReturnType<typeof startBackend>>;
  try {
    info = await startBackend(backend);
  } catch (error) {
    breakDown('backend', (error as Error).message);
    return;
  }
  watchDevice(
    (message) => breakDown('device-lost', `The GPU was lost: ${message}`),
    (message) => breakDown('memory', `The GPU has no memory left: ${message}`),
  );
  session = new Session(page, emit);
  emit({type: 'started', info});
}

async function saveLayers(): Promise<void> {
  const {name, files} = await layers.save();
  emit({type: 'layers-saved', name: `${name}.zip`, zip: zipOf(name, files)});
}

async function answer(request: Request, signal: AbortSignal): Promise<void> {
  if (request.type === 'start') return await start(request);
  switch (request.type) {
    case 'load':
      return await session?.load(request.source, request.base);
    case 'sample':
      return await session?.sample(request.options, signal);
    case 'train':
      return await session?.train(request.job);
    case 'continue':
      return await session?.continue();
    case 'discard':
      return await session?.discard();
    case 'activate':
      return session?.activate(request.adapter);
    case 'add-adapter':
      return await session?.addAdapter(request.files);
    case 'save':
      return await session?.save(request.adapter, request.merged);
    case 'layers-load':
      return await layers.load(request.files);
    case 'layers-train':
      return await layers.train(request.job);
    case 'layers-save':
      return await saveLayers();
  }
}

/** Requests are done one after the other. */
let done: Promise<void> = Promise.resolve();
/** Ends the sample that was asked for last, whether it is being written or waits for its turn. */
let sampling = new AbortController();

self.addEventListener('message', ({data: request}: MessageEvent<Request>) => {
  switch (request.type) {
    case 'hush':
      return sampling.abort();
    case 'pause':
      return session?.end('paused');
    case 'stop':
      return session?.end('stopped');
    case 'layers-stop':
      return layers.stop();
    default: {
      if (request.type === 'sample') sampling = new AbortController();
      const {signal} = sampling;
      done = done.then(() => answer(request, signal)).catch((error) => report(error, request));
    }
  }
});
