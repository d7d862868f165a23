import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {type CELoRAConfig, CELoRADense} from '../../src/index.ts';
import {type Backend, describeBackends} from '../backends.ts';

/** Options under which the gradient of every small layer here is approximated, and refreshed often. */
export const SMALL: Partial<CELoRAConfig> = {
  ...{rank: 2, alpha: 4, keep: 0.5, frozenRank: 1, refreshEvery: 3, exactEvery: 0},
};

/** The same without the factorisation, whose hundreds of dispatches take seconds on a software WebGPU. */
export const small = (backend: Backend): Partial<CELoRAConfig> =>
  backend === 'webgpu' ? {...SMALL, frozenRank: 0} : SMALL;

/**
 * A suite for every backend but WebGPU, which is software in tests and takes a tenth of a second for a training step:
 * for what goes on above the kernels, and is the same on every backend.
 */
export function describeOnHost(title: string, body: (backend: Backend) => void): void {
  describeBackends(title, (backend) => {
    if (backend !== 'webgpu') body(backend);
  });
}

/** The bits of a float32 tensor's values. */
export async function bits(tensor: tf.Tensor): Promise<number[]> {
  const values = (await tensor.data()) as Float32Array;
  return [...new Uint32Array(values.buffer, values.byteOffset, values.length)];
}

export async function expectSameBits(actual: tf.Tensor, expected: tf.Tensor): Promise<void> {
  expect(actual.shape).to.deep.equal(expected.shape);
  const [found, wanted] = [await bits(actual), await bits(expected)];
  const different = wanted.filter((value, i) => found[i] !== value).length;
  expect(different, `values of ${wanted.length} whose bits differ`).to.equal(0);
}

/** Random numbers that are the same at every call. */
export function randomTensor(shape: number[], seed = 1): tf.Tensor {
  return tf.randomNormal(shape, 0, 1, 'float32', seed);
}

export const outputs = (model: tfl.LayersModel, x: tf.Tensor | tf.Tensor[]): tf.Tensor[] =>
  [model.predict(x)].flat();

/** Every output of both, bit for bit. */
export async function expectSameOutputs(
  actual: tfl.LayersModel,
  expected: tf.Tensor[],
  x: tf.Tensor | tf.Tensor[],
): Promise<void> {
  const found = outputs(actual, x);
  expect(found.length).to.equal(expected.length);
  for (const [i, output] of found.entries()) await expectSameBits(output, expected[i]!);
}

/** The bits of weights by their names, of those whose name matches. */
export async function weightBits(model: tfl.LayersModel, pattern = /./): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  for (const weight of model.weights) {
    if (pattern.test(weight.name)) found[weight.name] = await bits(weight.read());
  }
  return found;
}

export const layerClasses = (model: tfl.LayersModel): string[] =>
  model.layers.map((layer) => layer.getClassName());

export function celoraLayer(model: tfl.LayersModel, name: string): CELoRADense {
  const layer = model.getLayer(name);
  if (!(layer instanceof CELoRADense)) throw new Error(`${name} is no CELoRADense`);
  return layer;
}

export const trainableNames = (model: tfl.LayersModel): string[] =>
  model.trainableWeights.map((weight) => weight.originalName);

/** What `model.save` would write. */
export async function artifactsOf(
  model: tfl.LayersModel,
  config?: tf.io.SaveConfig,
): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
    }),
    config,
  );
  return saved!;
}

/** A copy of the artifacts, as a file would make it: loading camel-cases the keys in place. */
export async function reload(artifacts: tf.io.ModelArtifacts): Promise<tfl.LayersModel> {
  const modelTopology = JSON.parse(JSON.stringify(artifacts.modelTopology)) as object;
  return tfl.loadLayersModel(tf.io.fromMemory({...artifacts, modelTopology}));
}

/** Full-batch training steps; returns their losses. */
export async function train(
  model: tfl.LayersModel,
  x: tf.Tensor | tf.Tensor[],
  y: tf.Tensor | tf.Tensor[],
  steps: number,
): Promise<number[]> {
  const batchSize = [x].flat()[0]!.shape[0]!;
  const {history} = await model.fit(x, y, {epochs: steps, batchSize, shuffle: false, verbose: 0});
  return history.loss as number[];
}

/**
 * Runs stock parts with tfjs's own leak check off: on wasm a stock Dense in gradient mode trips it, because Identity
 * copies there ("Backend 'wasm' has an internal memory leak after running 'fusedMatMul__op'").
 */
export async function asStock<T>(run: () => T | Promise<T>): Promise<T> {
  tf.env().set('IS_TEST', false);
  try {
    return await run();
  } finally {
    tf.env().set('IS_TEST', true);
  }
}

/** The messages that `console.warn` gets while `run` runs. */
export async function warnings(run: () => unknown): Promise<string[]> {
  const {warn} = console;
  const messages: string[] = [];
  console.warn = (...words: unknown[]) => messages.push(words.join(' '));
  try {
    await run();
  } finally {
    console.warn = warn;
  }
  return messages;
}

/** Gives kernels, biases and embeddings values that are the same in every run: initializers have no seed. */
export function settle<T extends tfl.LayersModel>(model: T): T {
  tf.tidy(() => {
    for (const [i, weight] of model.weights.entries()) {
      if (!/(kernel|bias|embeddings)$/.test(weight.originalName)) continue;
      weight.write(tf.mul(randomTensor(weight.shape as number[], i + 1), 0.4));
    }
  });
  return model;
}

/** 6 → 8 relu → 4: the layers are named hidden and output. */
export function mlp(prefix = ''): tfl.Sequential {
  const model = tfl.sequential({
    name: `${prefix}mlp`,
    layers: [
      tfl.layers.dense({units: 8, activation: 'relu', inputShape: [6], name: `${prefix}hidden`}),
      tfl.layers.dense({units: 4, name: `${prefix}output`}),
    ],
  });
  return settle(model);
}
