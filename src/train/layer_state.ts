import type {LayersModel, layers as tflLayers} from '@tensorflow/tfjs-layers';
import {type CELoRAConfig, show} from '../config.ts';
import {FileError} from '../files/json.ts';
import type {ActivationGradientState} from '../gradients/activation_gradient.ts';
import {dropoutSeeds} from '../gradients/fixes/dropout_layer.ts';
import {CELoRADense} from '../layers/celora_dense.ts';
import {layerTree} from '../model/layer_tree.ts';

type Layer = tflLayers.Layer;

/** What a layer keeps from one training step to the next, beside its weights. */
export interface LayerState {
  name: string;
  /** Where the random numbers of its dropout are. */
  dropout: number;
  /** Of a CELoRADense; the selected columns are kept apart. */
  celora?: {
    config: CELoRAConfig;
    gradient: Omit<ActivationGradientState, 'selection'> & {madeAt?: number};
  };
}

const isDropout = (layer: Layer): boolean => /^(Spatial)?Dropout/.test(layer.getClassName());

/** The layers that keep something: those of ours, and dropout of stock tfjs, whose masks the gradient fixes make. */
const keepers = (model: LayersModel): Layer[] =>
  layerTree(model).leaves.filter((layer) => layer instanceof CELoRADense || isDropout(layer));

const dropoutOf = (layer: Layer) => (layer instanceof CELoRADense ? layer.dropoutSeed : dropoutSeeds(layer));

/** @returns The states, and the columns that some of the layers have selected, by the layers' places among them. */
export async function layerStates(
  model: LayersModel,
): Promise<{layers: LayerState[]; selections: Map<number, Int32Array>}> {
  const selections = new Map<number, Int32Array>();
  const states = keepers(model).map(async (layer, i): Promise<LayerState> => {
    const common = {name: layer.name, dropout: dropoutOf(layer).state};
    if (!(layer instanceof CELoRADense)) return common;
    const {selection, ...gradient} = await layer.gradient.state();
    if (selection) selections.set(i, selection.indices);
    const madeAt = selection && {madeAt: selection.madeAt};
    return {...common, celora: {config: layer.config, gradient: {...gradient, ...madeAt}}};
  });
  return {layers: await Promise.all(states), selections};
}

/** Gives layers the fraction of columns that a calibrated run gave those of their names. */
export function adoptBudget(model: LayersModel, states: readonly LayerState[]): void {
  const keeps = new Map(states.map(({name, celora}) => [name, celora?.config.keep]));
  for (const layer of keepers(model)) {
    const keep = keeps.get(layer.name);
    if (keep !== undefined && layer instanceof CELoRADense) layer.setKeep(keep);
  }
}

/** Refuses states of other layers, and of layers with other options. */
export function checkLayers(file: string, model: LayersModel, states: readonly LayerState[]): void {
  const layers = keepers(model);
  for (let i = 0; i < Math.max(layers.length, states.length); i++) {
    const [layer, state] = [layers[i], states[i]];
    if (layer?.name !== state?.name) {
      throw new FileError(
        `${file} is of a run with other layers: ${state?.name ?? 'none'} there is ${layer?.name ?? 'none'} here`,
      );
    }
    const [mine, theirs] = [layer instanceof CELoRADense ? layer.config : {}, state!.celora?.config ?? {}];
    for (const name of Object.keys({...mine, ...theirs}) as (keyof CELoRAConfig)[]) {
      const [here, there] = [mine, theirs].map((config: Partial<CELoRAConfig>) => config[name]);
      if (here === there) continue;
      throw new FileError(
        `${file} is of a run with other options: ${name} of layer ${layer!.name} is ${show(there)} there, ` +
          `and ${show(here)} here`,
      );
    }
  }
}

/** Puts layers back to where they were. @param selections The selected columns by the layers' places. */
export function restoreLayers(
  model: LayersModel,
  states: readonly LayerState[],
  selections: readonly (Int32Array | undefined)[],
): void {
  for (const [i, layer] of keepers(model).entries()) {
    const {dropout, celora} = states[i]!;
    dropoutOf(layer).state = dropout;
    if (!(layer instanceof CELoRADense) || !celora) continue;
    const {madeAt, ...gradient} = celora.gradient;
    const indices = selections[i];
    const selection = indices && madeAt !== undefined && {selection: {indices, madeAt}};
    layer.gradient.restore({...gradient, ...selection});
  }
}
