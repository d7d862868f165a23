import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import {FileError} from '../files/json.ts';
import type {TensorData} from '../files/safetensors.ts';
import {layerTree} from '../model/layer_tree.ts';
import type {AdamW} from './adamw.ts';
import {checkLayers, type LayerState, layerStates, restoreLayers} from './layer_state.ts';

/** An evaluation during a run. */
export interface Evaluation {
  /** Steps done. */
  step: number;
  /** Held-out loss. */
  loss: number;
}

/** How far a run is. */
export interface Progress {
  /** Steps done. */
  step: number;
  /** Batches used: the position in the data. */
  batches: number;
  /** Seconds of training, evaluations and saving included. */
  seconds: number;
  /** The training loss of every step. */
  losses: number[];
  evaluations: Evaluation[];
}

/** All that a run needs to go on elsewhere, apart from tensors. */
export interface Manifest extends Omit<Progress, 'losses'> {
  weights: {name: string; shape: number[]}[];
  optimizer: {name: string; dtype: 'float32' | 'int32'}[];
  layers: LayerState[];
}

/** A run at a moment, in the memory of JavaScript. */
export interface TrainingState {
  manifest: Manifest;
  /** losses; weight/i, best/i, optimizer/i in the manifest's order; selection/i of layer i. */
  tensors: Record<string, TensorData>;
}

/** The weights that training changes: the trainable ones, and the statistics of BatchNormalization. */
export function changingWeights(model: LayersModel): LayerVariable[] {
  const normalizations = layerTree(model).leaves.filter(
    (layer) => layer.getClassName() === 'BatchNormalization',
  );
  return [...new Set([...model.trainableWeights, ...normalizations.flatMap(({weights}) => weights)])];
}

const read = async (tensor: tf.Tensor): Promise<TensorData> => ({
  shape: tensor.shape,
  // indices and counts are below 2²⁴
  data: Float32Array.from(await tensor.data()),
});

/** @param best The trainable weights of the best evaluation, if there was one. */
export async function captureState(
  model: LayersModel,
  optimizer: AdamW,
  {losses, ...progress}: Progress,
  best: readonly tf.Tensor[],
): Promise<TrainingState> {
  const tensors: TrainingState['tensors'] = {
    losses: {shape: [losses.length], data: Float32Array.from(losses)},
  };
  const add = async (kind: string, list: readonly tf.Tensor[]): Promise<void> => {
    const all = await Promise.all(list.map(read));
    for (const [i, data] of all.entries()) tensors[`${kind}/${i}`] = data;
  };
  const weights = changingWeights(model);
  const moments = await optimizer.getWeights();
  const {layers, selections} = await layerStates(model);
  await add(
    'weight',
    weights.map((weight) => weight.read()),
  );
  await add('best', best);
  await add(
    'optimizer',
    moments.map(({tensor}) => tensor as tf.Tensor),
  );
  for (const [i, indices] of selections) {
    tensors[`selection/${i}`] = {shape: [indices.length], data: Float32Array.from(indices)};
  }
  const manifest: Manifest = {
    ...progress,
    weights: weights.map(({originalName: name, shape}) => ({name, shape: shape as number[]})),
    optimizer: moments.map(({name, tensor}) => ({name, dtype: tensor.dtype as 'float32' | 'int32'})),
    layers,
  };
  return {manifest, tensors};
}

/** Refuses a state of another model. */
function check(file: string, model: LayersModel, {manifest, tensors}: TrainingState): void {
  const describe = (weight?: {name: string; shape: readonly (number | null)[]}) =>
    weight ? `${weight.name} [${weight.shape}]` : 'none';
  const mine = changingWeights(model).map(({originalName: name, shape}) => ({name, shape}));
  for (let i = 0; i < Math.max(mine.length, manifest.weights.length); i++) {
    const [here, there] = [describe(mine[i]), describe(manifest.weights[i])];
    if (here === there) continue;
    throw new FileError(
      `${file} is of a run that trained other weights: number ${i + 1} is ${there} there, and ${here} here`,
    );
  }
  checkLayers(file, model, manifest.layers);
  const needed = ['losses', ...manifest.weights.map((_, i) => `weight/${i}`)];
  const missing = [...needed, ...manifest.optimizer.map((_, i) => `optimizer/${i}`)].find(
    (name) => !tensors[name],
  );
  if (missing) throw new FileError(`${file} lacks tensor ${missing}`);
}

/**
 * Puts a run back where it was when the state was captured.
 * @param file The state's name, for messages.
 * @returns How far it was, and the trainable weights of the best evaluation, for the caller to keep and dispose.
 * @throws FileError if it is of another model; nothing is changed then.
 */
export async function restoreState(
  file: string,
  model: LayersModel,
  optimizer: AdamW,
  state: TrainingState,
): Promise<{progress: Progress; best: tf.Tensor[]}> {
  check(file, model, state);
  const {manifest, tensors} = state;
  const {weights, optimizer: moments, layers, ...progress} = manifest;
  const make = (name: string, dtype: 'float32' | 'int32' = 'float32') =>
    tf.tensor(tensors[name]!.data, tensors[name]!.shape, dtype);
  tf.tidy(() => {
    for (const [i, weight] of changingWeights(model).entries()) {
      // past LayerVariable.write, which would constrain it
      (weight.read() as tf.Variable).assign(make(`weight/${i}`));
    }
  });
  const named = moments.map(({name, dtype}, i) => ({name, tensor: make(`optimizer/${i}`, dtype)}));
  await optimizer.setWeights(named);
  tf.dispose(named.map(({tensor}) => tensor));
  const selections = layers.map((_, i) => tensors[`selection/${i}`]);
  restoreLayers(
    model,
    layers,
    selections.map((selection) => selection && Int32Array.from(selection.data)),
  );
  const best = Object.keys(tensors).filter((name) => name.startsWith('best/'));
  return {
    progress: {...progress, losses: [...tensors.losses!.data]},
    best: best.map((_, i) => make(`best/${i}`)),
  };
}
