import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {extname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'vite';

const CONFIG = fileURLToPath(new URL('../../../demos/browser/vite.config.ts', import.meta.url));
const PATH = '/some/where/';
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

export interface Site {
  url: string;
  close(): Promise<void>;
}

/** Before the worker's own code: keeps the device that it makes where a test reaches it. */
const KEEP_DEVICE = `{
  const {requestDevice} = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    return (self.device = await requestDevice.apply(this, args));
  };
}
`;

/** Builds the demo and serves it as any file server would: from a folder below, with no header of its own. */
export async function serveDemo(): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'celora-demo-'));
  await build({configFile: CONFIG, build: {outDir: folder}, logLevel: 'error'});
  const server = createServer(async (request, response) => {
    const {pathname} = new URL(request.url!, 'http://localhost');
    const name = pathname.slice(PATH.length) || 'index.html';
    try {
      if (!pathname.startsWith(PATH) || name.includes('..')) throw new Error('elsewhere');
      const bytes = await readFile(join(folder, decodeURIComponent(name)));
      const isWorker = /^assets\/worker-.*\.js$/.test(name);
      const body = isWorker ? Buffer.concat([Buffer.from(KEEP_DEVICE), bytes]) : bytes;
      response.setHeader('content-type', TYPES[extname(name)] ?? 'application/octet-stream');
      response.setHeader('content-length', body.length);
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}${PATH}`,
    async close() {
      server.close();
      await rm(folder, {recursive: true});
    },
  };
}
