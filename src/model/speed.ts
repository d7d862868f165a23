import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {requireBoolean} from '../config.ts';
import {ActivationGradient} from '../gradients/activation_gradient.ts';
import type {AdapterTerm} from '../kernels/kernel_names.ts';
import type {CELoRADense} from '../layers/celora_dense.ts';
import {weightsIn} from '../layers/half_variable.ts';
import {activationGrad} from '../ops/activation_grad.ts';
import {count} from '../ops/check.ts';
import {deviceRandomUniform} from '../ops/random_uniform.ts';
import {adaptedLayers} from './convert.ts';
import {formatTable} from './table.ts';

export interface BenchmarkOptions {
  /** Rows that each layer sees in a step: batch, or batch · sequence. */
  rows: number;
  /** Timings of each, of which the median counts, ≥ 1. Default 5. */
  rounds?: number;
  /** Whether layers in which approximating is the slower one are made exact (`setKeep(1)`). Default false. */
  apply?: boolean;
}

export interface LayerBenchmark {
  name: string;
  inputs: number;
  units: number;
  keep: number;
  /** Milliseconds of one exact activation gradient. */
  exactMs: number;
  /** Of an approximated one, with its share of a selection. */
  approximatedMs: number;
  approximatedIsFaster: boolean;
}

export interface BenchmarkReport {
  layers: LayerBenchmark[];
  /** As a table. */
  toString(): string;
}

/** Gradients between two waits for the device, so that waiting counts little. */
const REPEATS = 4;

async function milliseconds(run: () => tf.Tensor, repeats: number): Promise<number> {
  const start = performance.now();
  for (let i = 1; i < repeats; i++) run().dispose();
  const last = run();
  // one number of it says that all is computed
  const one = tf.tidy(() => tf.slice(tf.reshape(last, [-1]), 0, 1));
  await one.data();
  tf.dispose([last, one]);
  return (performance.now() - start) / repeats;
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

async function measure(layer: CELoRADense, rows: number, rounds: number): Promise<[number, number]> {
  const {config, units, adapters, trainBase} = layer;
  const variable = layer.baseVariables().kernel;
  const kernel = weightsIn(variable);
  const frozenData = trainBase ? undefined : variable.read().dataId;
  const random = (shape: number[], seed: number) =>
    tf.tidy(() => tf.sub<tf.Tensor2D>(deviceRandomUniform<tf.Tensor2D>(shape, seed), 0.5));
  const dy = random([rows, units], 1);
  const a = adapters.active?.loraA.read();
  const loraDy = a && random([rows, config.rank], 2);
  const adapter: AdapterTerm = a && loraDy ? {loraA: a, loraDy} : {};
  const gradient = new ActivationGradient({...config, exactSteps: 0, exactEvery: 0}, {least: 0});
  const approximated = () => gradient.compute(dy, kernel, frozenData, adapter);
  const selecting = () => {
    gradient.setKeep(config.keep);
    return approximated();
  };
  const exact = () => activationGrad({dy, kernel, ...adapter});
  const times: Record<'exact' | 'approximated' | 'selecting', number[]> = {
    exact: [],
    approximated: [],
    selecting: [],
  };
  try {
    // the first round makes factors and compiles
    for (let round = -1; round < rounds; round++) {
      const found = {
        exact: await milliseconds(exact, REPEATS),
        selecting: await milliseconds(selecting, 1),
        approximated: await milliseconds(approximated, REPEATS),
      };
      if (round < 0) continue;
      for (const name of ['exact', 'approximated', 'selecting'] as const) times[name].push(found[name]);
    }
  } finally {
    gradient.dispose();
    tf.dispose(loraDy ? [dy, loraDy] : dy);
  }
  const [exactMs, each, selected] = [
    median(times.exact),
    median(times.approximated),
    median(times.selecting),
  ];
  // rows are sampled in every pass
  const share = config.axis === 'rows' ? 0 : Math.max(0, selected - each) / config.refreshEvery;
  return [exactMs, each + share];
}

/**
 * Times the activation gradients of a model's CELoRADense layers on this device, exact and approximated as configured, each
 * by itself on random dy. Layers alike in shape and options are timed once. It waits for the device, and trains nothing.
 * @throws Error for a bad option, and for a model without CELoRADense layers.
 */
export async function benchmarkCELoRA(
  model: LayersModel,
  options: BenchmarkOptions,
): Promise<BenchmarkReport> {
  const caller = 'benchmarkCELoRA';
  const {rows, rounds = 5, apply = false} = options;
  count(caller, 'rows', rows);
  count(caller, 'rounds', rounds);
  requireBoolean(caller, 'apply', apply);
  const known = new Map<string, [number, number]>();
  const layers: LayerBenchmark[] = [];
  for (const layer of adaptedLayers(model, caller)) {
    const {name, inputs, units, config, trainBase} = layer;
    const {keep, frozenRank, rank, axis, refreshEvery, minSize, score, base} = config;
    const alike = [
      inputs,
      units,
      keep,
      frozenRank,
      rank,
      axis,
      refreshEvery,
      minSize,
      score,
      base,
      trainBase,
    ].join();
    const [exactMs, approximatedMs] = known.get(alike) ?? (await measure(layer, rows, rounds));
    known.set(alike, [exactMs, approximatedMs]);
    const approximatedIsFaster = keep < 1 && approximatedMs < exactMs;
    layers.push({name, inputs, units, keep, exactMs, approximatedMs, approximatedIsFaster});
    if (apply && !approximatedIsFaster) layer.setKeep(1);
  }
  return {layers, toString: () => table(layers)};
}

const table = (layers: readonly LayerBenchmark[]): string =>
  formatTable([
    ['layer', 'in', 'out', 'keep', 'exact ms', 'approximated', 'faster'],
    ...layers.map(({name, inputs, units, keep, exactMs, approximatedMs, approximatedIsFaster}) => [
      name,
      inputs,
      units,
      keep.toFixed(3),
      exactMs.toFixed(2),
      approximatedMs.toFixed(2),
      approximatedIsFaster ? 'approximated' : 'exact',
    ]),
  ]);
