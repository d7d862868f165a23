import type {LayersModel} from '@tensorflow/tfjs-layers';
import {type CELoRAConfig, requireOptions, resolveConfig, show} from '../config.ts';
import {type AdapterConfig, adapterPrefix, freshAdapter} from '../layers/adapter.ts';
import {CELoRADense} from '../layers/celora_dense.ts';
import {seedFor} from '../random.ts';
import {activeName, adaptedLayers, type CELoRAReport, celoraLayers, report} from './convert.ts';
import type {Layer} from './layer_tree.ts';
import {dropOptimizer} from './replace_layer.ts';
import {checkTarget, matches, type Target} from './target.ts';

/** Options of {@link addAdapter}. */
export interface AdapterOptions extends Partial<AdapterConfig>, Partial<Pick<CELoRAConfig, 'seed'>> {
  /** Which of the converted layers get it. Default: those that have an adapter, or all if none has. */
  target?: Target;
}

const OPTIONS: readonly string[] = ['target', 'rank', 'alpha', 'rslora', 'loraDropout', 'seed'];

const hasAdapter = (layer: Layer): boolean => layer instanceof CELoRADense && layer.adapters.names.length > 0;

/** The names of a model's adapters, in the order in which they came. */
export function adapterNames(model: LayersModel): string[] {
  return [...new Set(celoraLayers(model).flatMap((layer) => layer.adapters.names))];
}

/** The name of the adapter that takes part, trains and is saved; undefined if there is none. */
export function activeAdapter(model: LayersModel): string | undefined {
  return adapterNames(model).find((name) => name === activeName(model));
}

/** Checks the name of a new adapter. */
export function checkName(caller: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && name !== '') return;
  throw new Error(`${caller}: the name of an adapter must be a text, but is ${show(name)}`);
}

/** Refuses to change the active adapter where the kernel contains it. */
export function refuseMerged(layers: CELoRADense[], caller: string): void {
  const merged = layers.find((layer) => layer.merged);
  if (merged) throw new Error(`${caller}: the adapter of ${merged.name} is merged; call its unmerge() first`);
}

/** The converted layers of a model that has an adapter of that name. */
export function layersWith(model: LayersModel, name: string, caller: string): CELoRADense[] {
  const layers = adaptedLayers(model, caller);
  const names = adapterNames(model);
  if (names.includes(name)) return layers;
  throw new Error(`${caller}: there is no adapter ${show(name)}; there are: ${names.join(', ') || 'none'}`);
}

/**
 * Adds an adapter to a converted model, beside those that it has, and makes it the active one. It changes nothing
 * until it is trained. What is approximated in the layers' gradients (`keep`, …) is the same for all adapters. A
 * compiled model must be compiled again before training.
 * @param name A name that no adapter of the model has; that of `applyCELoRA` is 'default'.
 * @param options Rank and scale, as in `applyCELoRA`: layers too narrow for `rank` get the largest that they can have.
 * @returns The layers that have it.
 * @throws Error for an invalid option, a name that is taken, a target that matches no converted layer, a model without
 *   converted layers or with merged ones; the model is then as it was.
 */
export function addAdapter(model: LayersModel, name: string, options: AdapterOptions = {}): CELoRAReport {
  const caller = 'addAdapter';
  const layers = adaptedLayers(model, caller);
  checkName(caller, name);
  const names = adapterNames(model);
  if (names.includes(name)) {
    throw new Error(`${caller}: there is an adapter ${show(name)} already; delete it first`);
  }
  checkOptions(caller, options);
  const {target = names.length > 0 ? hasAdapter : 'all-dense', ...given} = options;
  checkTarget(caller, 'target', target);
  const config = resolveConfig(given, caller);
  refuseMerged(layers, caller);
  const chosen = layers.filter((layer) => matches(target, layer));
  const most = Math.max(0, ...chosen.map(fullRank));
  if (chosen.length === 0) {
    const all = layers.map((layer) => layer.name).join(', ');
    throw new Error(`${caller}: target ${show(target)} matches no converted layer; there are: ${all}`);
  }
  if (config.rank === 0 || (given.rank !== undefined && config.rank > most)) {
    throw new Error(
      `${caller}: rank must be at least 1 and at most ${most}, min(in, units) of the widest layer, ` +
        `but is ${config.rank}`,
    );
  }
  for (const layer of chosen) {
    const rank = Math.min(config.rank, fullRank(layer));
    const seed = seedFor(`${layer.name}/lora_a`, config.seed);
    const prefix = adapterPrefix(layer.baseVariables().kernel);
    layer.adapters.set(name, freshAdapter(prefix, {...config, rank}, layer, seed));
  }
  for (const layer of layers) layer.adapters.activate(name);
  return report(model, chosen, dropOptimizer(model));
}

const fullRank = ({inputs, units}: CELoRADense): number => Math.min(inputs, units);

function checkOptions(caller: string, options: AdapterOptions): void {
  requireOptions(caller, options);
  const misplaced = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (misplaced) {
    throw new Error(`${caller}: ${misplaced} is no option of an adapter; options are ${OPTIONS.join(', ')}`);
  }
}

/**
 * Makes an adapter the active one: the one that takes part, trains and is saved. The others and the base keep their
 * values, and nothing is rebuilt. Layers that this adapter does not have compute what their base does. If another one
 * was active, a compiled model must be compiled again before training: its optimizer knows the other's weights.
 * @throws Error if there is no adapter of that name (it lists those there are), or if a layer is merged; the model is
 *   then as it was.
 */
export function setActiveAdapter(model: LayersModel, name: string): void {
  const caller = 'setActiveAdapter';
  const layers = layersWith(model, name, caller);
  if (layers.every(({adapters}) => adapters.activeName === name)) return;
  refuseMerged(layers, caller);
  for (const layer of layers) layer.adapters.activate(name);
  dropOptimizer(model);
}

/**
 * Deletes an adapter, and frees its weights. Without its active one a model computes what its base does, until another
 * is made the active one; compile it again before training then.
 * @throws Error if there is no adapter of that name (it lists those there are), or if it is merged; the model is then
 *   as it was.
 */
export function deleteAdapter(model: LayersModel, name: string): void {
  const caller = 'deleteAdapter';
  const layers = layersWith(model, name, caller);
  const isActive = activeAdapter(model) === name;
  if (isActive) refuseMerged(layers, caller);
  for (const layer of layers) layer.adapters.set(name, undefined);
  if (isActive) dropOptimizer(model);
}
