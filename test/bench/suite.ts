import * as tf from '@tensorflow/tfjs-core';
import type {Base} from '../../src/index.ts';
import type {Adapter} from '../browser/chromium.ts';

/** Of the suite 'fidelity'. */
export interface FidelityOptions {
  /** Folder of a Llama. */
  model: string | undefined;
  /** .txt and .jsonl files. */
  data: string[];
  /** Parts of the names of the configurations to run; undefined = all. */
  only: string[] | undefined;
  seeds: number[];
  steps: number;
  /** Tokens of a window, and held-out windows. */
  length: number;
  windows: number;
  /** Time the steps of each configuration, instead of training it to its end. */
  time: boolean;
  /** That train at the same time. */
  processes: number;
  /** NVIDIA GPUs that they are divided among; 0: each uses what it finds. */
  gpus: number;
  /** Results that there are. */
  json: string | undefined;
  /** How a process starts its backend. */
  setup: {backend: string; flags: readonly string[]};
}

export interface SuiteOptions {
  rounds: number;
  /** As given on the command line; undefined = the suite's own. */
  shapes: string[] | undefined;
  /** Leave out stock tfjs, whose step may not fit into memory. */
  own: boolean;
  /** Of the suite 'cold': compile before the first step. */
  ahead: boolean;
  /** Of the suite 'step': this package's candidates with kernels held so. */
  base: Base | undefined;
  /** Of the suite 'chromium': what its WebGPU computes on. Default 'gpu'. */
  adapter?: Adapter;
  fidelity: FidelityOptions;
  say: (text: string) => void;
  /** Writes what there is so far into the JSON file, if one is asked for. */
  save: (results: object[]) => Promise<void>;
}

/** Runs, prints its tables, and returns plain numbers for the JSON file. */
export type Suite = (options: SuiteOptions) => Promise<object[]>;

/** N, in and out of a product, of a shape 'N,in,out'. @throws Error for another one. */
export function productSizes(shape: string): [rows: number, inputs: number, out: number] {
  const [rows, inputs, out] = shape.split(',').map(Number) as [number, number, number];
  if (![rows, inputs, out].every((size) => Number.isInteger(size) && size >= 1)) {
    throw new Error(`--shape must be N,in,out, but is '${shape}'`);
  }
  return [rows, inputs, out];
}

/** @throws Error on another backend, naming the suite. */
export function requireWebGPU(suite: string): void {
  const backend = tf.getBackend();
  if (backend !== 'webgpu') throw new Error(`${suite} is for webgpu, but the backend is ${backend}`);
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Runs something so often and waits for the device, by reading one number of the last result. */
export async function repeated(run: () => tf.Tensor | tf.Tensor[], times: number): Promise<void> {
  const outputs = () => [run()].flat();
  for (let i = 1; i < times; i++) tf.dispose(outputs());
  const last = outputs();
  const one = tf.tidy(() => tf.slice(tf.reshape(last[0]!, [-1]), 0, 1));
  await one.data();
  tf.dispose([one, last]);
}

/** Milliseconds of a run by the GPU's own clock, mean of so many; undefined but on webgpu with timestamps. */
export async function gpuMs(run: () => tf.Tensor, times: number): Promise<number | undefined> {
  if (tf.getBackend() !== 'webgpu') return undefined;
  const {kernelMs} = await tf.time(() => {
    for (let i = 0; i < times; i++) run().dispose();
  });
  return typeof kernelMs === 'number' && kernelMs > 0 ? kernelMs / times : undefined;
}

const WARM_UP = 2;

/**
 * Milliseconds of each candidate in each round. They run in turn, so that what slows the machine for a while slows them all;
 * each ends when the device has finished.
 */
export async function timesSideBySide(
  candidates: Record<string, () => Promise<void>>,
  rounds: number,
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = Object.fromEntries(
    Object.keys(candidates).map((name) => [name, []]),
  );
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const [name, run] of Object.entries(candidates)) {
      const start = performance.now();
      await run();
      if (round >= 0) times[name]!.push(performance.now() - start);
    }
  }
  return times;
}

/** The medians of these times. */
export async function sideBySide(candidates: Record<string, () => Promise<void>>, rounds: number) {
  const times = await timesSideBySide(candidates, rounds);
  return Object.fromEntries(Object.entries(times).map(([name, list]) => [name, median(list)]));
}
