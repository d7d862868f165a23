import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Plugin} from 'vite';
import {mobyDick} from '../data.ts';

const MODEL = join(import.meta.dirname, '../model');
const TYPES: Record<string, string> = {json: 'application/json', txt: 'text/plain; charset=utf-8'};

/** The files beside the page that do not lie in its folder: the embedded model, and a book to fine-tune it on. */
const FILES: Record<string, () => Promise<Uint8Array>> = {
  ...Object.fromEntries(
    ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'].map((name) => [
      `model/${name}`,
      () => readFile(join(MODEL, name)),
    ]),
  ),
  'moby-dick.txt': async () => new TextEncoder().encode(await mobyDick()),
};

/** Serves FILES beside the page while developing, and writes them beside it in a build. */
export function staticFiles(): Plugin {
  return {
    name: 'celora-static-files',
    configureServer({middlewares}) {
      middlewares.use(async (request, response, next) => {
        const name = new URL(request.url ?? '/', 'http://localhost').pathname.slice(1);
        const read = FILES[name];
        if (!read) return next();
        const bytes = await read();
        response.setHeader('content-type', TYPES[name.split('.').at(-1)!] ?? 'application/octet-stream');
        response.setHeader('content-length', bytes.length);
        response.end(bytes);
      });
    },
    async generateBundle() {
      for (const [fileName, read] of Object.entries(FILES)) {
        this.emitFile({type: 'asset', fileName, source: await read()});
      }
    },
  };
}
