import '@tensorflow/tfjs-layers'; // registers gradients
import type {Event, Request} from '../protocol.ts';
import {startBackend, watchDevice} from './backend.ts';
import {classify} from './errors.ts';
import {Session} from './session.ts';

const emit = (event: Event): void => self.postMessage(event);

let session: Session | undefined;

async function start({backend, page}: Extract<Request, {type: 'start'}>): Promise<void> {
  let info: Awaited<ReturnType<typeof startBackend>>;
  try {
    info = await startBackend(backend);
  } catch (error) {
    emit({type: 'error', kind: 'backend', message: (error as Error).message, fatal: true});
    return;
  }
  watchDevice(
    (message) => emit({type: 'error', kind: 'device-lost', message, fatal: true}),
    (message) => emit({type: 'error', kind: 'memory', message, fatal: true}),
  );
  session = new Session(page, emit);
  emit({type: 'started', info});
}

async function answer(request: Request): Promise<void> {
  if (request.type === 'start') return await start(request);
  switch (request.type) {
    case 'load':
      return await session?.load(request.source);
    case 'sample':
      return await session?.sample(request.options);
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
  }
}

/** Requests are done one after the other. */
let done: Promise<void> = Promise.resolve();

self.addEventListener('message', ({data: request}: MessageEvent<Request>) => {
  switch (request.type) {
    case 'hush':
      return session?.hush();
    case 'pause':
      return session?.end('paused');
    case 'stop':
      return session?.end('stopped');
    default:
      done = done
        .then(() => answer(request))
        .catch((error: unknown) => emit({type: 'error', ...classify(error)}));
  }
});
