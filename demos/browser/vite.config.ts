import {join} from 'node:path';
import {defineConfig} from 'vite';
import {staticFiles} from './static_files.ts';

const root = import.meta.dirname;
const repository = join(root, '../..');

/** With these the page may use threads, and the wasm backend has some. */
export const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  root,
  base: './', // the built folder works from any path
  appType: 'mpa', // what is not there is a 404, not the page
  plugins: [staticFiles()],
  server: {headers: ISOLATED, fs: {allow: [repository]}},
  preview: {headers: ISOLATED},
  worker: {format: 'es'},
  optimizeDeps: {entries: ['index.html', 'worker/worker.ts']},
  cacheDir: join(repository, 'node_modules/.vite'),
  build: {
    outDir: join(repository, 'out/browser'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: {polyfill: false},
    chunkSizeWarningLimit: 2000, // tfjs
  },
});
