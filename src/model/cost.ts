import type {LayersModel} from '@tensorflow/tfjs-layers';
import {show} from '../config.ts';
import {approximatedShare, planActivationGrad} from '../gradients/plan.ts';
import {CELoRADense} from '../layers/celora_dense.ts';
import {matrixShape} from '../layers/half_variable.ts';
import {denseVariables, type Layer, layerTree} from './layer_tree.ts';
import {formatTable} from './table.ts';

/** Multiply-adds of one step. */
export interface Cost {
  forward: number;
  backward: number;
}

export interface LayerCost {
  name: string;
  /** Everything trained: dx and dW beside the forward product. */
  full: Cost;
  /** LoRA of the same rank with an exact dx; the frozen Dense's for a layer without adapter. */
  exactLoRA: Cost;
  /** As configured. */
  configured: Cost;
}

export interface CostReport {
  layers: LayerCost[];
  total: Omit<LayerCost, 'name'>;
  /** Exact LoRA's multiply-adds over the configured ones: no kernel makes the step faster than this by approximating. */
  ceiling: number;
  /** As a table, in multiply-adds or the thousands, millions, … of them that suit the totals. */
  toString(): string;
}

/** A thousand times each the one before. */
const UNITS = ['multiply-adds', 'k multiply-adds', 'M multiply-adds', 'G multiply-adds', 'T multiply-adds'];

/** The unit in which a number has four to six digits before the point, and what it stands for. */
function unitFor(number: number): {unit: string; size: number} {
  const thousands = Math.floor(Math.log10(number) / 3);
  const power = Math.min(Math.max(thousands - 1, 0), UNITS.length - 1);
  return {unit: UNITS[power]!, size: 1000 ** power};
}

function layerCost(layer: Layer, tokens: number): LayerCost {
  const adapted = layer instanceof CELoRADense;
  const {kernel} = adapted ? layer.baseVariables() : denseVariables(layer);
  const [inputs, units] = matrixShape(kernel);
  // a layer used in several places is computed in each
  const rows = tokens * Math.max(1, layer.inboundNodes.length);
  const product = rows * inputs * units;
  const full = {forward: product, backward: 2 * product};
  if (!adapted) {
    const frozen = {forward: product, backward: layer.trainable ? 2 * product : product};
    return {name: layer.name, full, exactLoRA: frozen, configured: frozen};
  }
  const {config, trainBase} = layer;
  const {rank} = config;
  const kernelGrad = trainBase ? product : 0;
  const low = (r: number) => rows * r * (inputs + units);
  // forward xA and ·B; backward dyBᵀ and ·Aᵀ for dx, xᵀ· and (xA)ᵀdy for the adapter
  const adapter = {forward: low(rank), backward: 2 * low(rank)};
  const approximated = planActivationGrad(config, rows, inputs, units, !trainBase).multiplyAdds;
  const dx = product + approximatedShare(config) * (approximated - product);
  const forward = product + adapter.forward;
  return {
    name: layer.name,
    full,
    exactLoRA: {forward, backward: product + kernelGrad + adapter.backward},
    configured: {forward, backward: dx + kernelGrad + adapter.backward},
  };
}

/**
 * Multiply-adds of one training step in the model's Dense layers: for full fine-tuning, for exact LoRA, and as
 * configured: in the mean of all steps, where `exactEvery` makes some exact. A dx is counted for every layer, also for a
 * first one whose input needs none; selections (once every refreshEvery passes) and what is not a Dense are not counted.
 * @param model With or without CELoRADense layers.
 * @param tokens Rows that each Dense layer sees in a step: batch, or batch · sequence.
 * @throws Error if tokens is no positive number, or if the model has no built Dense layer.
 */
export function estimateCost(model: LayersModel, tokens: number): CostReport {
  if (typeof tokens !== 'number' || !(tokens > 0) || !Number.isFinite(tokens)) {
    throw new Error(`estimateCost: tokens must be a number > 0, but is ${show(tokens)}`);
  }
  const dense = layerTree(model).leaves.filter(
    (layer) => layer instanceof CELoRADense || layer.getClassName() === 'Dense',
  );
  if (dense.length === 0) throw new Error(`estimateCost: model ${model.name} has no Dense layer`);
  const layers = dense.map((layer) => layerCost(layer, tokens));
  const sum = (key: 'full' | 'exactLoRA' | 'configured'): Cost => ({
    forward: layers.reduce((total, layer) => total + layer[key].forward, 0),
    backward: layers.reduce((total, layer) => total + layer[key].backward, 0),
  });
  const total = {full: sum('full'), exactLoRA: sum('exactLoRA'), configured: sum('configured')};
  const both = ({forward, backward}: Cost) => forward + backward;
  const {unit, size} = unitFor(
    Math.max(...Object.values(total).flatMap(({forward, backward}) => [forward, backward])),
  );
  const inUnits = ({forward, backward}: Cost) => [Math.round(forward / size), Math.round(backward / size)];
  const row = (name: string, {full, exactLoRA, configured}: Omit<LayerCost, 'name'>) => [
    name,
    ...[full, exactLoRA, configured].flatMap(inUnits),
  ];
  return {
    layers,
    total,
    ceiling: both(total.exactLoRA) / both(total.configured),
    toString: () =>
      formatTable([
        [unit, 'full fwd', 'bwd', 'exact LoRA fwd', 'bwd', 'CE-LoRA fwd', 'bwd'],
        ...layers.map((layer) => row(layer.name, layer)),
        row('total', total),
      ]),
  };
}
