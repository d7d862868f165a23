import {rmSync} from 'node:fs';
import {mkdtemp, readFile} from 'node:fs/promises';
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

async function buildDemo(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'celora-demo-'));
  process.once('exit', () => rmSync(folder, {recursive: true}));
  await build({configFile: CONFIG, build: {outDir: folder}, logLevel: 'error'});
  return folder;
}

/** Of this process. */
let built: Promise<string> | undefined;

/**
 * Builds the demo and serves it as any file server would: from a folder below, with no header of its own.
 * @param headers Of all files.
 */
export async function serveDemo(headers: Record<string, string> = {}): Promise<Site> {
  built ??= buildDemo();
  const folder = await built;
  const server = createServer(async (request, response) => {
    const {pathname} = new URL(request.url!, 'http://localhost');
    const name = pathname.slice(PATH.length) || 'index.html';
    try {
      if (!pathname.startsWith(PATH) || name.includes('..')) throw new Error('elsewhere');
      const bytes = await readFile(join(folder, decodeURIComponent(name)));
      response.setHeaders(new Map(Object.entries(headers)));
      response.setHeader('content-type', TYPES[extname(name)] ?? 'application/octet-stream');
      response.setHeader('content-length', bytes.length);
      response.end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}${PATH}`,
    async close() {
      server.close();
    },
  };
}
