import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel, SymbolicTensor} from '@tensorflow/tfjs-layers';
import {checkpoint} from '../gradients/checkpoint.ts';
import type {Layer} from './layer_tree.ts';

/**
 * Runs a model, or another one that shares its layers, on tensors: as `model.apply(inputs, {training})`, by default for a
 * model with one output.
 */
export type ApplyModel = <T extends tf.Tensor | tf.Tensor[] = tf.Tensor>(
  model: LayersModel,
  inputs: tf.Tensor | tf.Tensor[],
) => T;

type Node = Layer['inboundNodes'][number];
/** Tensors by the ids of what stands for them in the model. */
export type Values = Map<number, tf.Tensor>;

/** Nodes of a model that run one after the other. */
export interface Stage {
  nodes: Node[];
  /** The block that they are of, if they are of one. */
  block: string | undefined;
  /** Ids of the symbolic tensors that it needs from before. */
  inputs: number[];
  /** Ids of those that are needed after it. */
  outputs: number[];
}

/** `model.layers.0.` of Llama, `transformer.h.0.` of GPT-2, `block_0/`, … */
const BLOCK = /^(?:.*[._/-])?(?:layers?|blocks?|h)[._/-]?\d+(?=[._/-])/i;

const nodeOf = ({sourceLayer, nodeIndex}: SymbolicTensor): Node => sourceLayer.inboundNodes[nodeIndex]!;

/**
 * Every node that the outputs depend on, in the order in which tfjs runs them, with its level: one more than the highest of
 * the nodes that it depends on.
 */
function nodeLevels(model: LayersModel): Map<Node, number> {
  const levels = new Map<Node, number>();
  const given = new Set(model.inputs.map(({id}) => id));
  const levelOf = (symbol: SymbolicTensor): number => {
    if (given.has(symbol.id)) return 0;
    const node = nodeOf(symbol);
    // tfjs goes to the last input first
    if (!levels.has(node)) levels.set(node, 1 + Math.max(0, ...node.inputTensors.toReversed().map(levelOf)));
    return levels.get(node)!;
  };
  for (const output of model.outputs) levelOf(output);
  return levels;
}

function checkNode({outboundLayer}: Node): void {
  if (outboundLayer.getConfig().maskZero || outboundLayer.getClassName() === 'Masking') {
    throw new Error(`checkpointLayers: layer ${outboundLayer.name} makes a mask, which would be lost`);
  }
}

const blockOf = (name: string): string | undefined => BLOCK.exec(name)?.[0];

/** The model's nodes in an order to run them in, those of a block together. @param blockOf The block of a layer's name. */
export function stagesOf(model: LayersModel, blockOf: (name: string) => string | undefined): Stage[] {
  const groups: Pick<Stage, 'nodes' | 'block'>[] = [];
  const levels = nodeLevels(model);
  const order = [...levels.keys()];
  // by levels those of a block follow one another, whatever else the model has
  for (const node of order.toSorted((a, b) => levels.get(a)! - levels.get(b)!)) {
    checkNode(node);
    const block = blockOf(node.outboundLayer.name);
    const last = groups.at(-1);
    if (last && last.block === block) last.nodes.push(node);
    else groups.push({nodes: [node], block});
  }
  if (groups.every(({block}) => block === undefined)) {
    throw new Error(
      `checkpointLayers: no layer of model ${model.name} is one of a block: their names have to begin ` +
        `as 'model.layers.0.', 'h.0.' or 'block_0/'`,
    );
  }
  // inside a block in tfjs's own order: gradients are summed in it, and are to be the same bit for bit
  const index = new Map(order.map((node, i) => [node, i]));
  for (const {nodes} of groups) nodes.sort((a, b) => index.get(a)! - index.get(b)!);
  const ids = (symbols: SymbolicTensor[]) => symbols.map(({id}) => id);
  const readBy = (nodes: Node[]) => new Set(nodes.flatMap(({inputTensors}) => ids(inputTensors)));
  return groups.map(({nodes, block}, i) => {
    const made = nodes.flatMap(({outputTensors}) => ids(outputTensors));
    const later = readBy(groups.slice(i + 1).flatMap((group) => group.nodes));
    for (const id of ids(model.outputs)) later.add(id);
    return {
      nodes,
      block,
      inputs: [...readBy(nodes)].filter((id) => !made.includes(id)),
      outputs: made.filter((id) => later.has(id)),
    };
  });
}

/** Runs nodes, whose inputs are among the values, and adds what they return. */
export function runNodes(nodes: Node[], values: Values, kwargs: {training: boolean}): void {
  for (const {outboundLayer, inputTensors, outputTensors} of nodes) {
    const inputs = inputTensors.map(({id}) => values.get(id)!);
    const outputs = [outboundLayer.apply(inputs, kwargs) as tf.Tensor | tf.Tensor[]].flat();
    for (const [i, {id}] of outputTensors.entries()) values.set(id, outputs[i]!);
  }
}

const trainable = (nodes: Node[]): tf.Variable[] => [
  ...new Set(
    nodes.flatMap(({outboundLayer}) =>
      outboundLayer.trainableWeights.map((weight) => weight.read() as tf.Variable),
    ),
  ),
];

/** Runs a stage without keeping its activations: the backward pass computes them again. */
function runTwice({nodes, inputs, outputs}: Stage, values: Values, kwargs: {training: boolean}): void {
  const block = (...tensors: tf.Tensor[]) => {
    const inside: Values = new Map(inputs.map((id, i) => [id, tensors[i]!]));
    runNodes(nodes, inside, kwargs);
    return outputs.map((id) => inside.get(id)!);
  };
  const given = inputs.map((id) => values.get(id)!);
  const results = checkpoint(block, given, trainable(nodes));
  for (const [i, id] of outputs.entries()) values.set(id, results[i]!);
}

function runStages(model: LayersModel, stages: Stage[], inputs: tf.Tensor[], every: number): tf.Tensor[] {
  const values: Values = new Map(model.inputs.map(({id}, i) => [id, inputs[i]!]));
  const kwargs = {training: true};
  const blocks = [...new Set(stages.map(({block}) => block))].filter((block) => block !== undefined);
  for (const stage of stages) {
    const again = stage.block !== undefined && blocks.indexOf(stage.block) % every === 0;
    if (again) runTwice(stage, values, kwargs);
    else runNodes(stage.nodes, values, kwargs);
  }
  return model.outputs.map(({id}) => values.get(id)!);
}

/**
 * How a training run applies models. Values and gradients do not depend on `checkpointLayers`.
 * @param checkpointLayers n: of every n-th transformer block the backward pass computes the activations again, instead of
 *   keeping them (`checkpoint`): 1 for the least memory, 2 for half of the blocks. Only in training. Absent: none.
 */
export function modelRunner(training: boolean, checkpointLayers?: number): ApplyModel {
  const known = new Map<LayersModel, Stage[]>();
  const run = (model: LayersModel, inputs: tf.Tensor | tf.Tensor[]) => {
    if (!training || checkpointLayers === undefined) {
      return model.apply(inputs, {training}) as tf.Tensor | tf.Tensor[];
    }
    if (!known.has(model)) known.set(model, stagesOf(model, blockOf));
    const stages = known.get(model)!;
    const outputs = tf.tidy(() => runStages(model, stages, [inputs].flat(), checkpointLayers));
    return outputs.length === 1 ? outputs[0]! : outputs;
  };
  return run as ApplyModel;
}
