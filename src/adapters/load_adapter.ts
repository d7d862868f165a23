import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {type CELoRAConfig, requireBoolean, requireOptions, resolveConfig, show} from '../config.ts';
import {FileError, quote} from '../files/json.ts';
import {decodeTensor} from '../files/safetensors.ts';
import {type AdapterConfig, adapterPrefix, LoRAAdapter} from '../layers/adapter.ts';
import {CELoRADense} from '../layers/celora_dense.ts';
import {matrixShape} from '../layers/half_variable.ts';
import {checkName, refuseMerged} from '../model/adapters.ts';
import {
  activeName,
  applyCELoRA,
  type CELoRAReport,
  celoraLayers,
  isHalfDense,
  report,
} from '../model/convert.ts';
import {denseVariables, type Layer, layerTree} from '../model/layer_tree.ts';
import {dropOptimizer} from '../model/replace_layer.ts';
import {
  CONFIG_FILE,
  type ModuleTensors,
  readModules,
  type Side,
  tensorName,
  transposed,
  WEIGHTS_FILE,
} from './modules.ts';
import {type ReadConfig, readPeftConfig} from './read_config.ts';

/**
 * Options of {@link loadAdapter}: a name, and for layers that have to be converted what `applyCELoRA` is told. Layers
 * that are converted already keep theirs.
 */
export interface LoadAdapterOptions extends Partial<Omit<CELoRAConfig, keyof AdapterConfig>> {
  /** The adapter's name in the model; one of that name is replaced. Default: the active one's, at first 'default'. */
  adapter?: string;
  /** The base model's name: an adapter that says it is of another one is refused. Default: that is not looked at. */
  baseModel?: string;
  /** Whether layers without adapter are frozen when layers are converted. Default true. */
  freezeRest?: boolean;
}

const CALLER = 'loadAdapter';
const OF_FILES: readonly string[] = [
  'rank',
  'alpha',
  'rslora',
  'loraDropout',
] satisfies (keyof AdapterConfig)[];

function checkOptions(options: LoadAdapterOptions): void {
  requireOptions(CALLER, options);
  const fixed = Object.keys(options).find((name) => OF_FILES.includes(name));
  if (fixed) throw new Error(`${CALLER}: ${fixed} is no option: the adapter's files say it`);
  const {adapter, baseModel, freezeRest, ...config} = options;
  if (baseModel !== undefined && typeof baseModel !== 'string') {
    throw new Error(`${CALLER}: baseModel must be a text, but is ${show(baseModel)}`);
  }
  if (adapter !== undefined) checkName(CALLER, adapter);
  if (freezeRest !== undefined) requireBoolean(CALLER, 'freezeRest', freezeRest);
  resolveConfig(config, CALLER);
}

function fileOf(files: Record<string, Uint8Array>, name: string): Uint8Array {
  const bytes = Object.hasOwn(files, name) ? files[name] : undefined;
  if (bytes instanceof Uint8Array) return bytes;
  if (bytes !== undefined) throw new Error(`${CALLER}: ${name} must be a Uint8Array`);
  const pickle = name === WEIGHTS_FILE ? " (PEFT's older adapter_model.bin, a pickle, is not read)" : '';
  throw new FileError(`${name} is missing from the adapter's files${pickle}`);
}

/** The Dense layer that a module's path names, converted or not. */
function layerOf(model: LayersModel, module: string): Layer {
  const fail = (problem: string): never => {
    throw new FileError(`${WEIGHTS_FILE}: ${problem}; the adapter is of another base model`);
  };
  const [layer, second] = layerTree(model).leaves.filter(({name}) => name === module);
  if (!layer) return fail(`model ${model.name} has no layer for module ${quote(module)}`);
  if (second) throw new Error(`${CALLER}: two layers are named ${module}, and adapters go by name`);
  if (layer instanceof CELoRADense || layer.getClassName() === 'Dense') return layer;
  return fail(
    `module ${quote(module)} is of class ${layer.getClassName()} here, but adapters are of Dense layers`,
  );
}

const kernelOf = (layer: Layer) =>
  (layer instanceof CELoRADense ? layer.baseVariables() : denseVariables(layer)).kernel;

/** What an adapter's files say of one layer. */
interface Plan {
  layer: Layer;
  tensors: ModuleTensors;
  config: AdapterConfig;
}

function planLayer(layer: Layer, tensors: ModuleTensors, {configOf}: ReadConfig): Plan {
  const module = layer.name;
  const [inputs, units] = matrixShape(kernelOf(layer));
  const rank = tensors.A.entry.shape[0]!;
  const check = (side: Side, shape: number[]) => {
    const found = tensors[side].entry.shape;
    if (found.join() === shape.join()) return;
    throw new FileError(
      `${WEIGHTS_FILE}: tensor ${quote(tensorName(module, side))} has shape [${found}], but a layer ${inputs} → ` +
        `${units} wants [${shape}]; the adapter is of another base model`,
    );
  };
  check('A', [rank, inputs]);
  check('B', [units, rank]);
  const config = configOf(module, rank);
  if (rank > Math.min(inputs, units)) {
    throw new FileError(
      `${WEIGHTS_FILE}: module ${quote(module)} has rank ${rank}; above ${Math.min(inputs, units)}, its layer's ` +
        'min(in, units), is not supported',
    );
  }
  return {layer, tensors, config};
}

function makeAdapter({layer, tensors, config}: Plan, bytes: Uint8Array): LoRAAdapter {
  const matrix = ({name, entry}: ModuleTensors[Side]) => {
    const [rows, columns] = entry.shape as [number, number];
    const values = decodeTensor(name, entry, bytes.subarray(entry.start, entry.end));
    return tf.tensor2d(transposed(values, rows, columns), [columns, rows]);
  };
  const [a, b] = [matrix(tensors.A), matrix(tensors.B)];
  const adapter = new LoRAAdapter(adapterPrefix(kernelOf(layer)), config, a, b);
  tf.dispose([a, b]);
  return adapter;
}

/**
 * Loads an adapter from files as PEFT (Hugging Face) writes them, or `adapterFiles`, and makes it the active one.
 * Layers are found by their names, which are PEFT's module paths; Dense layers that the adapter needs are converted as
 * by `applyCELoRA`. Rank and scale are the files', layer by layer. Another adapter of that name is replaced as a whole,
 * whatever its ranks; others stay. A compiled model must be compiled again before training.
 *
 * What PEFT knows and a LoRA adapter here does not (DoRA, PiSSA and OLoRA unless converted, trained biases, embeddings,
 * whole modules, …) is refused by name. The model changes only if everything fits.
 * @param files Bytes by file name: adapter_config.json and adapter_model.safetensors (F32, F16 or BF16); others are
 *   left alone.
 * @returns The layers of the adapter.
 * @throws FileError (one line that names the file) for missing, broken or unsupported files, and for an adapter of
 *   another base: a module, shape or rank that the model does not have. Error for an invalid option, or if a layer is
 *   merged.
 */
export function loadAdapter(
  model: LayersModel,
  files: Record<string, Uint8Array>,
  options: LoadAdapterOptions = {},
): CELoRAReport {
  checkOptions(options);
  const {adapter: name = activeName(model), baseModel, freezeRest = true, ...config} = options;
  requireOptions(CALLER, files);
  const said = readPeftConfig(fileOf(files, CONFIG_FILE));
  if (baseModel !== undefined && said.baseModel !== undefined && said.baseModel !== baseModel) {
    throw new FileError(
      `${CONFIG_FILE}: the adapter is of ${quote(said.baseModel)}, not of ${quote(baseModel)}`,
    );
  }
  const bytes = fileOf(files, WEIGHTS_FILE);
  const plans = [...readModules(bytes)].map(([module, tensors]) =>
    planLayer(layerOf(model, module), tensors, said),
  );
  refuseMerged(celoraLayers(model), CALLER);

  const made = new Map<string, LoRAAdapter>();
  const stock = new Set(
    plans.map(({layer}) => layer).filter((layer) => !(layer instanceof CELoRADense) || isHalfDense(layer)),
  );
  let recompile = false;
  try {
    for (const plan of plans) made.set(plan.layer.name, makeAdapter(plan, bytes));
    if (stock.size > 0) {
      const target = (layer: Layer) => stock.has(layer);
      recompile = applyCELoRA(model, {...config, freezeRest, target, rank: 0}).recompile;
    }
  } catch (error) {
    for (const adapter of made.values()) adapter.dispose();
    throw error;
  }
  const layers = celoraLayers(model);
  for (const layer of layers) {
    layer.adapters.set(name, made.get(layer.name));
    layer.adapters.activate(name);
  }
  recompile = dropOptimizer(model) || recompile;
  return report(
    model,
    layers.filter((layer) => made.has(layer.name)),
    recompile,
  );
}
