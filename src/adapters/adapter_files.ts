import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import {requireOptions, show} from '../config.ts';
import {type TensorData, writeSafetensors} from '../files/safetensors.ts';
import type {CELoRADense} from '../layers/celora_dense.ts';
import {layersWith} from '../model/adapters.ts';
import {activeName, celoraLayers} from '../model/convert.ts';
import {layerTree} from '../model/layer_tree.ts';
import {adapterCard} from './card.ts';
import {type AdapterFiles, CARD_FILE, CONFIG_FILE, tensorName, transposed, WEIGHTS_FILE} from './modules.ts';
import {peftConfig, TASK_TYPES, type TaskType} from './peft_config.ts';

/** Options of {@link adapterFiles}. */
export interface AdapterFilesOptions {
  /** Which adapter. Default: the active one. */
  adapter?: string;
  /** The base model's name, such as that of its repository, for PEFT and the card. Default: none. */
  baseModel?: string;
  /** PEFT's name of the model's task. Default: none, which suits any. */
  taskType?: TaskType;
}

/** Refuses a model of which more is trained than adapters: no file of an adapter's can hold that. */
function refuseTrained(model: LayersModel): void {
  const adapters = new Set<LayerVariable>();
  for (const {adapters: all} of celoraLayers(model)) {
    for (const name of all.names) adapters.add(all.get(name)!.loraA).add(all.get(name)!.loraB);
  }
  const other = model.trainableWeights.find((weight) => !adapters.has(weight));
  if (!other) return;
  throw new Error(
    `adapterFiles: ${other.originalName} is trainable too, and an adapter's files cannot hold it; save the whole ` +
      'model, or freeze it first if it was not trained',
  );
}

function refuseSharedNames(model: LayersModel, layers: readonly CELoRADense[]): void {
  const names = layerTree(model).leaves.map(({name}) => name);
  const twice = layers.find(({name}) => names.indexOf(name) !== names.lastIndexOf(name));
  if (twice) throw new Error(`adapterFiles: two layers are named ${twice.name}, and adapters go by name`);
}

function checkOptions({adapter, baseModel, taskType, ...others}: AdapterFilesOptions): void {
  const [unknown] = Object.keys(others);
  if (unknown) {
    throw new Error(`adapterFiles: unknown option ${unknown}; options are adapter, baseModel, taskType`);
  }
  for (const [name, value] of Object.entries({adapter, baseModel})) {
    if (value === undefined || typeof value === 'string') continue;
    throw new Error(`adapterFiles: ${name} must be a text, but is ${show(value)}`);
  }
  if (taskType !== undefined && !TASK_TYPES.includes(taskType)) {
    throw new Error(
      `adapterFiles: taskType must be one of ${TASK_TYPES.join(', ')}, but is ${show(taskType)}`,
    );
  }
}

/** As torch lays it out: the transpose. */
async function torchTensor(name: string, variable: LayerVariable): Promise<[string, TensorData]> {
  const [rows, columns] = variable.shape as [number, number];
  const data = transposed((await variable.read().data()) as Float32Array, rows, columns);
  return [name, {shape: [columns, rows], data}];
}

/**
 * The files of an adapter as PEFT (Hugging Face) writes them: adapter_config.json, adapter_model.safetensors (float32)
 * and a card, README.md. Layers are PEFT's modules by their names, so that PEFT loads them beside a base whose modules
 * are called so (those of a Llama: `model.layers.0.self_attn.q_proj`). What scales an adapter is saved with it, layer
 * by layer; its dropout is PEFT's one for all, that of most layers.
 * @param model A converted model; it may be merged or its adapters switched off, that makes no difference.
 * @returns Bytes by file name.
 * @throws Error for an invalid option, if there is no such adapter, if more of the model is trainable than adapters, or
 *   if two layers share a name.
 */
export async function adapterFiles(
  model: LayersModel,
  options: AdapterFilesOptions = {},
): Promise<AdapterFiles> {
  requireOptions('adapterFiles', options);
  checkOptions(options);
  const {adapter = activeName(model), baseModel, taskType} = options;
  const layers = layersWith(model, adapter, 'adapterFiles').filter(({adapters}) => adapters.get(adapter));
  refuseTrained(model);
  refuseSharedNames(model, layers);
  // all reads begin now, so that the values are those of one moment
  const pairs = await Promise.all(
    layers.flatMap(({name, adapters}) => {
      const {loraA, loraB} = adapters.get(adapter)!;
      return [torchTensor(tensorName(name, 'A'), loraA), torchTensor(tensorName(name, 'B'), loraB)];
    }),
  );
  const configs = layers.map(({name, adapters}) => ({layer: name, config: adapters.get(adapter)!.config}));
  const config = peftConfig(configs, layerTree(model).leaves, {baseModel, taskType});
  const parameters = pairs.reduce((sum, [, {data}]) => sum + data.length, 0);
  const text = new TextEncoder();
  return {
    [CONFIG_FILE]: text.encode(`${JSON.stringify(config, null, 2)}\n`),
    [WEIGHTS_FILE]: writeSafetensors(Object.fromEntries(pairs), {format: 'pt'}),
    [CARD_FILE]: text.encode(adapterCard(config, parameters)),
  };
}
