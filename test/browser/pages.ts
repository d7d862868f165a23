import {extname} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build, type Plugin} from 'esbuild';
import type {Browser, Page} from 'playwright-core';

/** A secure context, which WebGPU and the origin-private file system need; nothing listens there. */
const ORIGIN = 'http://localhost';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const CONTENT_TYPES: Record<string, string> = {'.js': 'text/javascript', '.html': 'text/html'};

/** What only Node can load has a twin for the browser. */
const TWINS: Plugin = {
  name: 'twins',
  setup({onResolve}) {
    onResolve({filter: /support\/start_backend\.ts$/}, () => ({
      path: fileURLToPath(new URL('start_backend.ts', import.meta.url)),
    }));
  },
};

/** Scripts that share what they have in common, each of them for a page of its own. */
export interface Scripts {
  /** Opens a page on which the script of that name has run. Whoever opens it closes it. */
  open(browser: Browser, name: string): Promise<Page>;
}

/** Bundles scripts: a name for each, and its text, whose imports are relative to this folder. */
export async function bundle(scripts: Readonly<Record<string, string>>): Promise<Scripts> {
  const virtual: Plugin = {
    name: 'virtual',
    setup({onResolve, onLoad}) {
      onResolve({filter: /^script:/}, ({path}) => ({path, namespace: 'script'}));
      onLoad({filter: /.*/, namespace: 'script'}, ({path}) => ({
        contents: scripts[path.slice('script:'.length)]!,
        loader: 'ts',
        resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      }));
    },
  };
  const {outputFiles} = await build({
    absWorkingDir: ROOT,
    entryPoints: Object.keys(scripts).map((name) => ({in: `script:${name}`, out: name})),
    bundle: true,
    format: 'esm',
    splitting: true,
    outdir: '/',
    write: false,
    target: 'es2022',
    sourcemap: 'inline',
    // packages choose by it between Node and the browser; the tests read their settings from it
    define: {'process.env': '{}', global: 'globalThis'},
    plugins: [virtual, TWINS],
    logLevel: 'error',
  });
  const files = new Map(outputFiles.map(({path, contents}) => [path, Buffer.from(contents)]));
  return {
    async open(browser, name) {
      const page = await browser.newPage();
      files.set(
        `/${name}.html`,
        Buffer.from(`<!doctype html><script type="module" src="/${name}.js"></script>`),
      );
      await page.route(`${ORIGIN}/**`, (route) => {
        const {pathname} = new URL(route.request().url());
        const body = files.get(decodeURIComponent(pathname));
        if (body === undefined) return route.fulfill({status: 404});
        return route.fulfill({body, contentType: CONTENT_TYPES[extname(pathname)]!});
      });
      const errors: Error[] = [];
      page.on('pageerror', (error) => errors.push(error));
      await page.goto(`${ORIGIN}/${encodeURIComponent(name)}.html`);
      if (errors.length > 0) throw errors[0];
      return page;
    },
  };
}
