import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import * as tfl from '@tensorflow/tfjs-layers';
import type {CELoRADense} from '../layers/celora_dense.ts';
import {type Layer, layerTree} from './layer_tree.ts';

/**
 * tfjs has no public way to change a built model's graph. All that we touch of its private fields is here: the fields
 * below are those of tfjs-layers 4.22, and the tests of this file fail if they are renamed.
 */
interface GraphNode {
  outboundLayer: Layer;
  inboundLayers: Layer[];
  outputTensors: {sourceLayer: Layer}[];
}
interface GraphLayer {
  inboundNodes: GraphNode[];
  outboundNodes: GraphNode[];
  _refCount: number | null;
}
interface GraphContainer {
  layers: Layer[];
  inputLayers: Layer[];
  outputLayers: Layer[];
  layersByDepth?: {[depth: string]: Layer[]};
  /** Sequential's inner functional model. */
  model?: GraphContainer;
}
interface ModelFields {
  isOptimizerOwned: boolean;
}
interface DenseFields {
  kernel: LayerVariable;
  bias: LayerVariable | null;
}

const graph = (layer: Layer) => layer as unknown as GraphLayer;

function swap(list: Layer[], from: Layer, to: Layer): void {
  for (let i = 0; i < list.length; i++) if (list[i] === from) list[i] = to;
}

function swapInContainer(container: GraphContainer, from: Layer, to: Layer): void {
  swap(container.layers, from, to);
  swap(container.inputLayers, from, to);
  swap(container.outputLayers, from, to);
  for (const list of Object.values(container.layersByDepth ?? {})) swap(list, from, to);
  if (container.model) swapInContainer(container.model, from, to);
}

/**
 * Puts `to` in the place of `from` everywhere in the model: in every container, node, symbolic tensor and wrapper.
 * `to` must be built, have the name of `from` and take and give the same shapes. `from` keeps its list of nodes, for
 * other models that list it: they compute with `to`, and save `from`.
 */
export function replaceLayer(model: LayersModel, from: Layer, to: Layer): void {
  const {containers, wrappers} = layerTree(model);
  for (const container of containers) swapInContainer(container as unknown as GraphContainer, from, to);
  for (const wrapper of wrappers) if (wrapper.layer === from) wrapper.layer = to;
  const [source, target] = [graph(from), graph(to)];
  for (const node of source.inboundNodes) {
    node.outboundLayer = to;
    for (const tensor of node.outputTensors) tensor.sourceLayer = to;
  }
  for (const node of source.outboundNodes) swap(node.inboundLayers, from, to);
  target.inboundNodes = source.inboundNodes;
  target.outboundNodes = source.outboundNodes;
  target._refCount = source._refCount;
}

/**
 * Takes the optimizer of a compiled model away, since it would go on training the weights that were trainable then;
 * frees it if the model made it, as the model's dispose would.
 * @returns Whether there was one.
 */
export function dropOptimizer(model: LayersModel): boolean {
  const {optimizer} = model;
  if (optimizer == null) return false;
  if ((model as unknown as ModelFields).isOptimizerOwned) optimizer.dispose();
  model.optimizer = null as unknown as typeof optimizer;
  return true;
}

/** A stock Dense in the configuration of `layer`, around its variables, which it shares. */
export function denseAround(layer: CELoRADense): Layer {
  const {kernel, bias} = layer.baseVariables();
  const dense = tfl.layers.dense(layer.denseConfig() as unknown as Parameters<typeof tfl.layers.dense>[0]);
  dense.addLoss(layer.losses); // the regularizers', functions of these variables
  const fields = dense as unknown as DenseFields;
  fields.kernel = kernel;
  fields.bias = bias ?? null;
  dense.trainableWeights = bias ? [kernel, bias] : [kernel];
  dense.inputSpec = [{minNDim: 2, axes: {[-1]: kernel.shape[0]!}}];
  dense.built = true;
  return dense;
}
