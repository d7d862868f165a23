import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {availableParallelism} from 'node:os';
import {Worker} from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs-core';
import {activate, importOptional} from './start.ts';
import {refuseWithoutMemory} from './wasm_memory.ts';

// the backend takes half of the cores, and never more than eight: threads begin at four cores
const CORES_FOR_THREADS = 4;

/**
 * A worker that runs tfjs's own thread script. tfjs 4 starts it from a blob: URL and hands it a second one, neither of
 * which Node's workers can load (tfjs issue 3830); here both come from the files of its package.
 */
function threadWorker(): typeof Worker | undefined {
  const require = createRequire(import.meta.url);
  const folder = require
    .resolve('@tensorflow/tfjs-backend-wasm/package.json')
    .replace(/package\.json$/, 'wasm-out/');
  const script = `${folder}tfjs-backend-wasm-threaded-simd.js`;
  const workerScript = `${folder}tfjs-backend-wasm-threaded-simd.worker.js`;
  if (!existsSync(script) || !existsSync(workerScript)) return undefined;
  // a template literal in the file has turned the escaped newlines of the script's strings into real ones
  const source: string = require(workerScript).wasmWorkerContents.replaceAll('\n', '\\n');
  return class extends Worker {
    constructor() {
      super(source, {eval: true, execArgv: []});
    }
    override ref(): void {} // its threads would keep the process alive that started them
    override postMessage(message: {cmd?: string}): void {
      super.postMessage(message.cmd === 'load' ? {...message, urlOrBlob: script} : message);
    }
  };
}

/** Runs `start` while `new Worker(…)` makes workers of `threads`, which tfjs's loader sets to Node's own. */
async function withWorkers(threads: typeof Worker, start: () => Promise<void>): Promise<void> {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'Worker');
  Object.defineProperty(globalThis, 'Worker', {get: () => threads, set: () => {}, configurable: true});
  try {
    await start();
  } finally {
    Reflect.deleteProperty(globalThis, 'Worker');
    if (before !== undefined) Object.defineProperty(globalThis, 'Worker', before);
  }
}

/**
 * Makes tfjs's backend 'wasm' the current one, with SIMD and, from four cores on, with threads, which tfjs by itself
 * does not start in Node. A tensor that it has no memory for is an error from then on.
 *
 * @returns How many threads it computes on.
 * @throws Error if '@tensorflow/tfjs-backend-wasm' is missing or does not start.
 */
export async function setUpWasm(): Promise<number> {
  const name = '@tensorflow/tfjs-backend-wasm';
  const {getThreadsCount} = await importOptional('the wasm backend', [name], () => import(name));
  const threads = availableParallelism() >= CORES_FOR_THREADS ? threadWorker() : undefined;
  if (threads !== undefined && tf.findBackend('wasm') == null) {
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', true);
    await withWorkers(threads, () => activate('wasm'));
  } else {
    await activate('wasm');
  }
  refuseWithoutMemory();
  return getThreadsCount();
}
