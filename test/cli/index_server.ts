import {createHash} from 'node:crypto';
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {normalizeName} from '../../src/cli/requirement.ts';
import type {MadeWheel} from './wheels.ts';

/** What an index does wrong: 'truncated' ends a file in the middle, 'stalled' stops sending there. */
export type Fault = 'hash' | 'truncated' | 'stalled' | 'html' | 'missing';

/** A package index on this machine that lists wheels as JSON (PEP 691). */
export class IndexServer {
  /** The paths that were asked for. */
  readonly requests: string[] = [];
  fault: Fault | undefined;
  readonly #wheels: MadeWheel[];
  readonly #server: Server;

  constructor(wheels: MadeWheel[]) {
    this.#wheels = wheels;
    this.#server = createServer(({url = ''}, response) => {
      this.requests.push(url);
      const wheel = this.#wheels.find(({file}) => url === `/files/${file}`);
      if (wheel === undefined)
        return response.end(this.#page(url, (type) => response.setHeader('content-type', type)));
      if (this.fault === 'missing') return response.writeHead(404).end();
      response.writeHead(200, {'content-length': wheel.bytes.length});
      if (this.fault !== 'truncated' && this.fault !== 'stalled') return response.end(wheel.bytes);
      response.write(wheel.bytes.subarray(0, wheel.bytes.length / 2), () => {
        if (this.fault === 'truncated') response.destroy();
      });
    });
  }

  #page(url: string, setType: (type: string) => void): string {
    setType(this.fault === 'html' ? 'text/html' : 'application/vnd.pypi.simple.v1+json');
    const files = this.#wheels
      .filter(({file}) => url === `/simple/${normalizeName(file.split('-')[0]!)}/`)
      .map(({file, bytes}) => {
        const content = this.fault === 'hash' ? Buffer.from('other') : bytes;
        const sha256 = createHash('sha256').update(content).digest('hex');
        return {filename: file, url: `../../files/${file}`, hashes: {sha256}, size: bytes.length};
      });
    return JSON.stringify({files});
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/simple`;
  }

  /** Closes it; its address then refuses connections. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
