import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import {
  type CELoRAConfig,
  DEFAULT_CONFIG,
  requireBoolean,
  requireOptions,
  resolveConfig,
  show,
} from '../config.ts';
import {planActivationGrad} from '../gradients/plan.ts';
import {DEFAULT_ADAPTER} from '../layers/adapter.ts';
import {CELoRADense} from '../layers/celora_dense.ts';
import {layoutOf, matrixShape, sizeOf} from '../layers/half_variable.ts';
import {
  freezeBase,
  recallTrainable,
  rememberTrainable,
  setTrainable,
  thawStatistics,
  trainableFlags,
} from './freeze.ts';
import {denseVariables, type Layer, layerTree} from './layer_tree.ts';
import {denseAround, dropOptimizer, replaceLayer} from './replace_layer.ts';
import {formatTable} from './table.ts';
import {checkTarget, matches, type Target} from './target.ts';

/**
 * Options of {@link applyCELoRA}: those of CE-LoRA, for every layer converted, and these. Layers too narrow for `rank`
 * get the largest that they can have.
 */
export interface ApplyOptions extends Partial<CELoRAConfig> {
  /** Which Dense layers get an adapter. Default 'all-dense'. */
  target?: Target;
  /** Other options for some of them; where several match, the later wins. */
  overrides?: readonly ({target: Target} & Partial<CELoRAConfig>)[];
  /** Whether layers without adapter are frozen, BatchNormalization's statistics included. Default true. */
  freezeRest?: boolean;
}

export interface ConvertedLayer {
  name: string;
  inputs: number;
  units: number;
  config: CELoRAConfig;
  /** Columns of dy kept of `units`; `units` where the gradient is exact or rows are sampled instead. */
  keptColumns: number;
  /** Trainable numbers of the adapter: rank · (inputs + units). */
  adapterParams: number;
}

export interface CELoRAReport {
  layers: ConvertedLayer[];
  trainableParams: number;
  totalParams: number;
  /** The model had been compiled: that is void now, and it must be compiled again before training. */
  recompile: boolean;
  /** As a table. */
  toString(): string;
}

/** The layers that were replaced, by their kernels: to be put back as the same objects. */
const originals = new WeakMap<LayerVariable, Layer>();

/** A frozen Dense at half precision, as a model is built of to be loaded so: to be converted as a Dense is. */
export const isHalfDense = (layer: Layer): boolean =>
  layer instanceof CELoRADense &&
  layer.config.base !== 'float32' &&
  layer.config.keep === 1 &&
  layer.adapters.names.length === 0 &&
  !originals.has(layer.baseVariables().kernel);

/** The largest rank that an adapter of the layer can have. */
const fullRank = (layer: Layer): number => Math.min(...matrixShape(denseVariables(layer).kernel));

/** @param most The largest rank that any of the layers can have: more is no rank for a model. */
function optionsFor(layer: Layer, options: ApplyOptions, most: number): CELoRAConfig {
  const pick = (from: object) =>
    Object.fromEntries(Object.entries(from).filter(([key]) => key !== 'target')) as Partial<CELoRAConfig>;
  const {target: _, overrides = [], freezeRest: __, ...base} = options;
  const chosen = overrides.filter((override) => matches(override.target, layer)).map(pick);
  const owner = `applyCELoRA, layer ${layer.name}`;
  const held = layoutOf(denseVariables(layer).kernel)?.format;
  const config = resolveConfig(Object.assign(held ? {base: held} : {}, base, ...chosen), owner);
  if (held && config.base !== held) {
    throw new Error(`${owner}: base must be ${show(held)}, as it is now, but is ${show(config.base)}`);
  }
  if (config.rank > most && config.rank !== DEFAULT_CONFIG.rank) {
    throw new Error(
      `${owner}: rank must be at most ${most}, min(in, units) of the widest layer, but is ${config.rank}`,
    );
  }
  return {...config, rank: Math.min(config.rank, fullRank(layer))};
}

function check(options: ApplyOptions): void {
  requireOptions('applyCELoRA', options);
  const {target = 'all-dense', overrides = [], freezeRest = true, ...config} = options;
  checkTarget('applyCELoRA', 'target', target);
  requireBoolean('applyCELoRA', 'freezeRest', freezeRest);
  if (!Array.isArray(overrides))
    throw new Error(`applyCELoRA: overrides must be a list, but is ${show(overrides)}`);
  for (const given of overrides) {
    requireOptions('applyCELoRA overrides', given);
    const {target: one, ...override} = given;
    checkTarget('applyCELoRA', 'overrides target', one);
    resolveConfig(override, 'applyCELoRA overrides');
  }
  resolveConfig(config, 'applyCELoRA');
}

/** The Dense layers to convert; an error where a target means none, or where another model has taken one. */
function chooseLayers(model: LayersModel, {target = 'all-dense', overrides = []}: ApplyOptions): Layer[] {
  const dense = layerTree(model).leaves.filter(
    (layer) => layer.getClassName() === 'Dense' || isHalfDense(layer),
  );
  const names = (layers: Layer[]) => layers.map(({name}) => name).join(', ') || 'none';
  const chosen = dense.filter((layer) => matches(target, layer));
  if (chosen.length === 0) {
    throw new Error(`applyCELoRA: target ${show(target)} matches no Dense layer; there are: ${names(dense)}`);
  }
  for (const {target: one} of overrides) {
    if (chosen.some((layer) => matches(one, layer))) continue;
    throw new Error(
      `applyCELoRA: overrides target ${show(one)} matches none of the layers to convert: ${names(chosen)}`,
    );
  }
  const taken = chosen.find((layer) => originals.has(denseVariables(layer).kernel));
  if (taken) {
    throw new Error(
      `applyCELoRA: layer ${taken.name} has an adapter already, in another model that shares it: ` +
        'merge or remove that first, or leave the layer out of target',
    );
  }
  return chosen;
}

/**
 * Gives Dense layers of a model LoRA adapters with approximated gradients, in place: the model stays the same object,
 * the layers are exchanged inside its graph and share the variables of the old ones. Works for sequential and
 * functional models, nested models, shared layers, Dense inside TimeDistributed, and beside any other layers. Outputs
 * stay the same until training, but for what a `base` of half precision rounds. A compiled model must be compiled again, and
 * refuses to train until it is. Other models that share the layers compute with the adapters too, but are saved without them
 * (with kernels at half precision they cannot be saved); merged, all is one again. A frozen layer that is at half precision
 * already, `celoraDense({rank: 0, keep: 1, base})`, is converted as a Dense is, and keeps its kernel.
 * @returns What was converted.
 * @throws Error for an invalid option, if target or that of an override matches no Dense layer (it lists those there
 *   are), or if one was converted as part of another model that shares it; the model is then as it was.
 */
export function applyCELoRA(model: LayersModel, options: ApplyOptions = {}): CELoRAReport {
  check(options);
  const chosen = chooseLayers(model, options);
  const most = Math.max(...chosen.map(fullRank));
  const adapter = activeName(model);
  const flags = trainableFlags(model);
  const made: [Layer, CELoRADense][] = [];
  try {
    for (const layer of chosen) {
      made.push([layer, convertLayer(layer, optionsFor(layer, options, most), adapter)]);
    }
    for (const [, layer] of made) layer.checkBase();
  } catch (error) {
    for (const [from, layer] of made) {
      layer.release();
      layer.discardAdapter();
      if (from instanceof CELoRADense) from.hold();
    }
    setTrainable(flags);
    throw error;
  }
  rememberTrainable(flags);
  for (const [from, to] of made) {
    replaceLayer(model, from, to);
    originals.set(to.baseVariables().kernel, from);
    to.halveBase();
  }
  if (options.freezeRest ?? true) freezeBase(model);
  return report(
    model,
    made.map(([, layer]) => layer),
    dropOptimizer(model),
  );
}

function convertLayer(layer: Layer, config: CELoRAConfig, adapter: string): CELoRADense {
  const {kernel, bias} = denseVariables(layer);
  const converted = new CELoRADense({
    ...(layer.getConfig() as {units: number}),
    ...config,
    trainable: true,
    name: layer.name,
  });
  converted.adapters.activate(adapter);
  converted.adopt(kernel, bias);
  if (layer instanceof CELoRADense) {
    layer.release();
    converted.hold();
  }
  converted.addLoss(layer.losses); // the regularizers', functions of the shared variables
  return converted;
}

/** What was done to the layers of a model. */
export function report(model: LayersModel, converted: CELoRADense[], recompile: boolean): CELoRAReport {
  const layers = converted.map(
    ({name, units, config, inputs}): ConvertedLayer => ({
      name,
      inputs,
      units,
      config,
      // the rows of a step are not known yet; only what is too small depends on them
      keptColumns:
        config.axis === 'rows'
          ? units
          : planActivationGrad({...config, minSize: 0}, 1, inputs, units, true, 0).kept,
      adapterParams: config.rank * (inputs + units),
    }),
  );
  // a layer shared across models is listed in each
  const count = (weights: LayerVariable[]) =>
    [...new Set(weights)].reduce((sum, weight) => sum + sizeOf(weight), 0);
  const trainableParams = count(model.trainableWeights);
  const totalParams = count(model.weights);
  return {
    layers,
    trainableParams,
    totalParams,
    recompile,
    toString: () =>
      [
        formatTable([
          ['layer', 'in', 'out', 'rank', 'keep', 'kept', 'adapter'],
          ...layers.map((l) => [
            l.name,
            l.inputs,
            l.units,
            l.config.rank,
            l.config.keep,
            l.keptColumns,
            l.adapterParams,
          ]),
        ]),
        `trainable ${trainableParams.toLocaleString('en-US')} of ${totalParams.toLocaleString('en-US')} parameters`,
        ...(trainableParams === 0 ? ['nothing can be trained: every rank is 0, and the rest is frozen'] : []),
        ...(recompile ? ['the model was compiled before: compile it again'] : []),
      ].join('\n'),
  };
}

/** The CELoRADense layers of a model. */
export const celoraLayers = (model: LayersModel): CELoRADense[] =>
  layerTree(model).leaves.filter((layer) => layer instanceof CELoRADense);

/** The name under which a model's layers look for the adapter that takes part. */
export const activeName = (model: LayersModel): string =>
  celoraLayers(model)[0]?.adapters.activeName ?? DEFAULT_ADAPTER;

/** The CELoRADense layers of a model; an error where there is none. */
export function adaptedLayers(model: LayersModel, caller: string): CELoRADense[] {
  const found = celoraLayers(model);
  if (found.length === 0) throw new Error(`${caller}: model ${model.name} has no CELoRADense layer`);
  return found;
}

/**
 * Puts the layers before a conversion back, the same objects where they are known, and the trainable flags as they were.
 * @param stock Whether all of them become stock Dense layers at full precision; else what was at half precision stays so.
 */
export function restoreLayers(model: LayersModel, layers: CELoRADense[], stock: boolean): void {
  const loaded: LayerVariable[] = [];
  for (const layer of layers) {
    const {kernel, bias} = layer.baseVariables();
    const known = originals.get(kernel);
    const original = stock && known instanceof CELoRADense ? undefined : known;
    if (!original) loaded.push(kernel, ...(bias ? [bias] : []));
    if (!(original instanceof CELoRADense)) layer.widenBase();
    replaceLayer(model, layer, original ?? denseAround(layer));
    originals.delete(kernel);
    layer.release();
    layer.discardAdapter();
    if (original instanceof CELoRADense) original.hold();
  }
  recallTrainable(model);
  // nobody knows what they were
  for (const variable of loaded) variable.trainable = true;
  thawStatistics(model);
  dropOptimizer(model);
}
