import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {ActivationGradient, type ObservedPass} from '../gradients/activation_gradient.ts';
import {approximatedShare} from '../gradients/plan.ts';
import type {CELoRADense} from '../layers/celora_dense.ts';
import {activationGrad} from '../ops/activation_grad.ts';
import {diagnosisChart} from './diagnosis_chart.ts';
import {observeBackward} from './observe.ts';
import {formatTable} from './table.ts';

/** How well one layer's dx is approximated, on one batch. */
export interface LayerDiagnosis {
  name: string;
  /** Columns (or rows) kept; all of them where dx is exact. */
  kept: number;
  /** Share of the squared scores that the kept columns have; undefined where rows are sampled. */
  keptEnergy: number | undefined;
  /** Cosine of the approximated dx and the exact one, both as one long vector. */
  cosine: number;
  /** ‖dx − exact‖ / ‖exact‖. */
  relativeError: number;
  /** Share of dx's multiply-adds that approximating saves, in the mean of passes where `exactEvery` makes some exact. */
  saved: number;
}

export interface Diagnosis {
  layers: LayerDiagnosis[];
  /** As a table. */
  toString(): string;
  /** Kept energy and cosine of every layer as bars: a whole SVG file. */
  toSVG(): string;
}

/** Of one pass: ⟨approximated, exact⟩, ‖approximated‖², ‖exact‖², ‖difference‖² [4], and the scores [out]. */
interface Measured {
  products: tf.Tensor1D;
  scores: tf.Tensor1D | undefined;
  multiplyAdds: number;
  savedMultiplyAdds: number;
  kept: number;
}

function measure({config, gradient}: CELoRADense, pass: ObservedPass): Measured {
  const {dy, kernel, frozenData, adapter} = pass;
  // one of its own: the layer's selection and counters stay as they are
  const fresh = new ActivationGradient({...config, exactSteps: 0, exactEvery: 0, seed: gradient.config.seed});
  const [approximated, exact] = [
    fresh.compute(dy, kernel, frozenData, adapter),
    activationGrad({dy, kernel, ...adapter}),
  ];
  const dot = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(a, b));
  const difference = tf.sub(approximated, exact);
  const products = tf.stack([
    dot(approximated, exact),
    dot(approximated, approximated),
    dot(exact, exact),
    dot(difference, difference),
  ]) as tf.Tensor1D;
  const {multiplyAdds, savedMultiplyAdds, kept} = fresh.stats;
  const byColumns = config.axis === 'columns' && kept > 0;
  const scores = byColumns ? tf.keep(fresh.scores(pass)) : undefined;
  fresh.dispose();
  return {products: tf.keep(products), scores, multiplyAdds, savedMultiplyAdds, kept};
}

async function diagnosed(layer: CELoRADense, passes: Measured[]): Promise<LayerDiagnosis> {
  const sums = [0, 0, 0, 0];
  let [energy, total, adds, saved] = [0, 0, 0, 0];
  for (const {products, scores, kept, multiplyAdds, savedMultiplyAdds} of passes) {
    for (const [i, value] of (await products.data()).entries()) sums[i]! += value;
    const energies = Array.from((await scores?.data()) ?? [], (score) => score ** 2).sort((a, b) => b - a);
    for (const [i, one] of energies.entries()) {
      if (i < kept) energy += one;
      total += one;
    }
    adds += multiplyAdds;
    saved += savedMultiplyAdds;
  }
  const [dot, approximated, exact, difference] = sums as [number, number, number, number];
  const {config, name, units} = layer;
  const isExact = passes.every(({kept}) => kept === 0);
  const keptEnergy = isExact || total === 0 ? 1 : energy / total;
  return {
    name,
    kept: isExact ? units : Math.max(...passes.map(({kept}) => kept)),
    keptEnergy: config.axis === 'rows' && !isExact ? undefined : keptEnergy,
    // a dx of zeros is approximated by zeros
    cosine: exact === 0 ? 1 : dot / (Math.sqrt(approximated * exact) || 1),
    relativeError: exact === 0 ? 0 : Math.sqrt(difference / exact),
    saved: (approximatedShare(config) * saved) / adds,
  };
}

/**
 * Compares the approximated activation gradients of a model's layers with the exact ones on one batch, each layer by itself:
 * the exact gradient goes on to the layers before. The columns are selected on this batch. Layers whose input leads to nothing
 * trainable compute no dx, and are left out. Nothing is trained or changed; it reads results back.
 * @param loss The mean loss of one batch, as in training.
 * @throws Error for a model without CELoRADense layers or without trainable weights.
 */
export async function diagnoseCELoRA(model: LayersModel, loss: () => tf.Scalar): Promise<Diagnosis> {
  const seen = new Map<CELoRADense, Measured[]>();
  try {
    observeBackward(model, loss, 'diagnoseCELoRA', (layer, pass) => {
      seen.set(layer, [...(seen.get(layer) ?? []), measure(layer, pass)]);
    });
    const layers: LayerDiagnosis[] = [];
    for (const [layer, passes] of seen) layers.push(await diagnosed(layer, passes));
    layers.reverse(); // as the forward pass meets them
    return {layers, toString: () => table(layers), toSVG: () => diagnosisChart(layers)};
  } finally {
    tf.dispose(
      [...seen.values()].flat().map(({products, scores}) => (scores ? [products, scores] : products)),
    );
  }
}

const table = (layers: readonly LayerDiagnosis[]): string =>
  formatTable([
    ['layer', 'kept', 'energy', 'cosine', 'error', 'saved'],
    ...layers.map(({name, kept, keptEnergy, cosine, relativeError, saved}) => [
      name,
      kept,
      keptEnergy?.toFixed(3) ?? '',
      cosine.toFixed(4),
      relativeError.toFixed(3),
      `${Math.round(100 * saved)} %`,
    ]),
  ]);
