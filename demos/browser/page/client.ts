import type {BackendChoice, Event, Request} from '../protocol.ts';

type Listener<T extends Event['type']> = (event: Extract<Event, {type: T}>) => void;

/** The page's side of the worker. */
export class WorkerClient {
  private worker: Worker | undefined;
  private backend: BackendChoice = 'auto';
  private readonly listeners = new Map<Event['type'], ((event: never) => void)[]>();

  /** Starts the worker, in the place of the one there. */
  start(backend: BackendChoice): void {
    this.backend = backend;
    this.worker?.terminate();
    const worker = new Worker(new URL('../worker/worker.ts', import.meta.url), {type: 'module'});
    worker.addEventListener('message', ({data}: MessageEvent<Event>) => this.dispatch(data));
    worker.addEventListener('error', ({message = 'the worker does not load'}) =>
      this.dispatch({type: 'error', kind: 'bug', message, fatal: true}),
    );
    this.worker = worker;
    this.send({type: 'start', backend, page: document.baseURI});
  }

  /** Starts the worker anew, as it was started before. */
  restart(): void {
    this.start(this.backend);
  }

  send(request: Request): void {
    this.worker?.postMessage(request);
  }

  on<T extends Event['type']>(type: T, listener: Listener<T>): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener as (event: never) => void]);
  }

  private dispatch(event: Event): void {
    for (const listener of this.listeners.get(event.type) ?? []) listener(event as never);
  }
}
