import {LayersModel, type LayerVariable, type layers} from '@tensorflow/tfjs-layers';

export type Layer = layers.Layer;
/** A model, or a model nested in one. */
export type Container = Pick<LayersModel, 'layers' | 'trainable'> & Layer;
/** TimeDistributed and its like: what holds one layer. */
export type Wrapper = Layer & {layer: Layer};

/** A layer of the user's own with an array of layers is none: nothing is known of what it does with them. */
export function isContainer(layer: Layer): layer is Container {
  return layer instanceof LayersModel;
}

export function isWrapper(layer: Layer): layer is Wrapper {
  const inner = (layer as Partial<Wrapper>).layer;
  return typeof inner === 'object' && typeof inner.getClassName === 'function';
}

/** What a model is made of, every object once, however often it is shared. */
export interface LayerTree {
  /** The model itself and the models nested in it. */
  containers: Container[];
  wrappers: Wrapper[];
  /** Everything else, wrapped layers among them. */
  leaves: Layer[];
}

export function layerTree(model: LayersModel): LayerTree {
  const tree: LayerTree = {containers: [], wrappers: [], leaves: []};
  const seen = new Set<Layer>();
  const visit = (layer: Layer): void => {
    if (seen.has(layer)) return;
    seen.add(layer);
    if (isContainer(layer)) {
      tree.containers.push(layer);
      for (const child of layer.layers) visit(child);
    } else if (isWrapper(layer)) {
      tree.wrappers.push(layer);
      visit(layer.layer);
    } else {
      tree.leaves.push(layer);
    }
  };
  visit(model);
  return tree;
}

/** The kernel and the bias of a Dense, found among its weights: trainable flags change their order. */
export function denseVariables(layer: Layer): {kernel: LayerVariable; bias: LayerVariable | undefined} {
  const kernel = layer.weights.find((variable) => variable.shape.length === 2);
  const bias = layer.weights.find((variable) => variable.shape.length === 1);
  if (!kernel)
    throw new Error(`Dense layer ${layer.name} is not built yet: give the model an input shape first`);
  return {kernel, bias};
}
