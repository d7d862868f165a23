import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {ModelFiles} from '../../../demos/llama/files.ts';

/** What a server does wrong, or otherwise than the best. */
export interface Faults {
  /** A file's answer breaks off after so many bytes, as often as it says. */
  breaks?: {name: string; after: number; times: number};
  /** It knows no ranges. */
  wholeOnly?: boolean;
  /** It answers so often with 503 before it serves. */
  busy?: number;
  /** It answers with this status always. */
  status?: number;
  /** Where there is no such file it has a page. */
  page?: boolean;
  /** It does not tell sizes. */
  chunked?: boolean;
}

/** Serves the files of a model below /owner/name/. */
export class ModelServer {
  faults: Faults = {};
  /** Of all files; another one says that they changed. */
  tag = '"1"';
  /** Of GETs: paths, with ' from N' where a range was asked for. */
  readonly requests: string[] = [];
  readonly #contents: Record<string, Uint8Array>;
  readonly #server: Server;

  constructor(contents: Record<string, Uint8Array>) {
    this.#contents = contents;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /** A server of these of a model's files. */
  static async of(files: ModelFiles, names: readonly string[]): Promise<ModelServer> {
    const entries = names.map(async (name) => [name, await files.read(name)] as const);
    return new ModelServer(Object.fromEntries(await Promise.all(entries)));
  }

  #answer({url = '', method, headers}: IncomingMessage, response: ServerResponse): void {
    const {faults} = this;
    const name = decodeURIComponent(url.replace('/owner/name/', ''));
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
    if (method === 'GET') this.requests.push(start > 0 ? `${name} from ${start}` : name);
    if (faults.status !== undefined) return void response.writeHead(faults.status).end();
    if (faults.busy) {
      faults.busy--;
      return void response.writeHead(503).end();
    }
    const bytes = this.#contents[name];
    if (bytes === undefined) {
      const page = {'content-type': 'text/html; charset=utf-8'};
      return void (faults.page ? response.writeHead(200, page).end('<p>') : response.writeHead(404).end());
    }
    const partial = start > 0 && !faults.wholeOnly;
    const body = partial ? bytes.subarray(start) : bytes;
    response.writeHead(partial ? 206 : 200, {
      etag: this.tag,
      ...(faults.chunked ? {} : {'content-length': body.length}),
      ...(partial ? {'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`} : {}),
    });
    if (method === 'HEAD') return void response.end();
    const {breaks} = faults;
    if (breaks?.name !== name || breaks.times === 0) return void response.end(body);
    breaks.times--;
    response.write(body.subarray(0, breaks.after), () => setTimeout(() => response.destroy(), 20));
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
  }

  /** Of the folder. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/owner/name`;
  }

  /** Closes it; its address then refuses connections. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
