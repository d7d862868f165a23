import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import type {JsonObject} from '../../src/files/json.ts';
import {type TensorData, writeSafetensors} from '../../src/files/safetensors.ts';
import {FileError} from '../../src/index.ts';
import {trainableNames, weightBits} from '../model/models.ts';

/** An adapter_config.json as PEFT writes it for a rank of 2, with changes. */
export const configJson = (changes: JsonObject = {}): JsonObject => ({
  alpha_pattern: {},
  auto_mapping: null,
  base_model_name_or_path: null,
  bias: 'none',
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 4,
  lora_dropout: 0,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  peft_type: 'LORA',
  peft_version: '0.21.2',
  qalora_group_size: 16,
  r: 2,
  rank_pattern: {},
  revision: null,
  target_modules: ['hidden', 'output'],
  task_type: null,
  use_dora: false,
  use_rslora: false,
  ...changes,
});

export const matrix = (rows: number, columns: number, seed = 1): TensorData => ({
  shape: [rows, columns],
  data: Float32Array.from({length: rows * columns}, (_, i) => (((i + seed) * 7) % 11) / 8 - 0.5),
});

export type Tensors = Record<string, TensorData>;

/** The tensors of one module's adapter, as torch lays them out. */
export const moduleTensors = (module: string, inputs: number, units: number, rank = 2): Tensors => ({
  [`base_model.model.${module}.lora_A.weight`]: matrix(rank, inputs, 1),
  [`base_model.model.${module}.lora_B.weight`]: matrix(units, rank, 2),
});

/** Tensors for the layers of `mlp`. */
export const mlpTensors = (rank = 2): Tensors => ({
  ...moduleTensors('hidden', 6, 8, rank),
  ...moduleTensors('output', 8, 4, rank),
});

export const encode = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));

/** The files of an adapter; for `mlp` if nothing else is said. */
export const adapterOf = (
  config: JsonObject | Uint8Array<ArrayBuffer> = {},
  tensors: Tensors | Uint8Array<ArrayBuffer> = mlpTensors(),
) => ({
  'adapter_config.json': config instanceof Uint8Array ? config : encode(configJson(config)),
  'adapter_model.safetensors': tensors instanceof Uint8Array ? tensors : writeSafetensors(tensors),
});

/** What of a model a failed load could have changed. */
async function stateOf(model: LayersModel) {
  return {
    layers: model.layers.map((layer) => layer.getConfig()),
    objects: model.layers.map((layer) => layer.name),
    weights: await weightBits(model),
    trainable: trainableNames(model),
    optimizer: model.optimizer == null,
    tensors: tf.memory().numTensors,
    buffers: tf.memory().numDataBuffers,
  };
}

/** Asserts that an action throws an error of one line and leaves the model as it was. */
export async function expectRefused(
  model: LayersModel,
  action: () => unknown,
  message: string | RegExp,
  type: new (message: string) => Error = FileError,
): Promise<void> {
  const {layers} = model;
  const [before, objects] = [await stateOf(model), [...layers]];
  expect(action).to.throw(type, message).with.property('message').that.does.not.include('\n');
  expect(await stateOf(model)).to.deep.equal(before);
  expect(model.layers).to.have.ordered.members(objects);
}
