import {spawn} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import type {JsonObject} from '../../../demos/llama/files.ts';
import type {Comparison} from '../../../demos/node/compare.ts';
import type {RunInfo} from '../../../demos/node/output.ts';
import {decodeTensor, readSafetensors, writeSafetensors} from '../../../src/files/safetensors.ts';
import {randomTensors, type Tensors, tinyConfig, tinyTokenizer} from '../llama/fixtures.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

/** How a run of the demo ended. */
export interface Ended {
  /** Exit code; null if a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Whether a checkpoint stands there whole: it is written beside and renamed. */
const isFilled = (folder: string): boolean =>
  existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.safetensors'));

/** Options of the demo by their names on the command line; `true` for one without value. */
export type Flags = Readonly<Record<string, string | number | true>>;

/**
 * Runs the demo as a program of its own. It gets a Ctrl-C as soon as it has printed a text, or once a method has saved a
 * checkpoint: then it has taken steps, however slow the machine is.
 */
export function demo(flags: Flags, interruptAt?: string | {saved: 'celora' | 'exact'}): Promise<Ended> {
  const args = Object.entries(flags).map(([name, value]) => `--${name}${value === true ? '' : `=${value}`}`);
  const child = spawn(process.execPath, ['--import', 'tsx', 'demos/node/main.ts', ...args], {cwd: ROOT});
  const ended: Ended = {code: null, signal: null, stdout: '', stderr: ''};
  let interrupted = interruptAt === undefined;
  const interrupt = (now: boolean) => {
    if (interrupted || !now) return;
    interrupted = true;
    child.kill('SIGINT');
  };
  const saved = typeof interruptAt === 'object' && join(`${flags.out}`, 'checkpoints', interruptAt.saved);
  const looking = setInterval(() => interrupt(saved !== false && isFilled(saved)), 5);
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      ended[name] += text;
      interrupt(typeof interruptAt === 'string' && ended[name].includes(interruptAt));
    });
  }
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => {
      clearInterval(looking);
      done({...ended, code, signal});
    });
  });
}

/** Runs something in this process and returns what it writes to stderr: the progress of the demo. */
export async function stderrOf(body: () => Promise<unknown>): Promise<string> {
  const {write} = process.stderr;
  let written = '';
  process.stderr.write = (text: string | Uint8Array) => {
    written += text;
    return true;
  };
  try {
    await body();
  } finally {
    process.stderr.write = write;
  }
  return written;
}

/** A folder for the tests of a suite, removed after them; gives paths in it. */
export function temporaryFolder(): (...names: string[]) => string {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'celora-demo-'));
  });
  after(async () => {
    if (folder !== '') await rm(folder, {recursive: true}); // a suite that is skipped has none
  });
  return (...names) => join(folder, ...names);
}

/** Writes the Hugging Face folder of a very small Llama. */
export async function writeLlama(
  folder: string,
  json: JsonObject = tinyConfig(),
  tensors: Tensors = randomTensors(tinyConfig()),
): Promise<void> {
  await mkdir(folder, {recursive: true});
  await writeFile(join(folder, 'config.json'), JSON.stringify(json));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tinyTokenizer()));
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors(tensors));
}

/** A text of letters that the tokenizer of the small Llama knows, one token each. */
export const textOf = (length: number): string =>
  'a big old dog ran back home and had a good meal '.repeat(Math.ceil(length / 48)).slice(0, length);

/** run.json as it is on disk: its options are JSON. */
export type Run = Omit<RunInfo, 'options'> & Comparison & {options: JsonObject; verdict: string};

export async function readRun(folder: string): Promise<Run> {
  return JSON.parse(await readFile(join(folder, 'run.json'), 'utf8')) as Run;
}

/** Every tensor of a run's adapter by its name. */
export async function adapterTensors(folder: string): Promise<Tensors> {
  const bytes = await readFile(join(folder, 'adapter', 'adapter_model.safetensors'));
  const tensors: Tensors = {};
  for (const [name, entry] of readSafetensors('adapter', bytes)) {
    const data = decodeTensor(name, entry, bytes.subarray(entry.start, entry.end));
    tensors[name] = {shape: entry.shape, data};
  }
  return tensors;
}
