import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import type {CELoRADense} from '../layers/celora_dense.ts';
import {type ApplyModel, modelRunner} from '../model/apply_model.ts';
import {celoraLayers} from '../model/convert.ts';
import type {AdamW} from './adamw.ts';
import {weightOf} from './batches.ts';
import {disposeBatch} from './evaluate.ts';
import type {BatchLoss} from './loss.ts';
import {Snapshot} from './snapshot.ts';

/** The trainable weights of a model. */
export const trainableVariables = (model: LayersModel): tf.Variable[] => [
  ...new Set(model.trainableWeights.map((weight) => weight.read() as tf.Variable)),
];

/**
 * Takes training steps. As losses are read late, a step may rest on weights that turn out to be spoilt: the weights before
 * each step are remembered until its loss is known.
 */
export class Trainer<B extends object> {
  readonly variables: tf.Variable[];
  readonly optimizer: AdamW;
  private readonly loss: BatchLoss<B>;
  private readonly apply: ApplyModel;
  private readonly layers: CELoRADense[];
  /** Before the last step whose loss is known to be a number. */
  private good: Snapshot | undefined;
  /** Before each of the steps since, whose losses are not known yet. */
  private readonly unproven: Snapshot[] = [];

  constructor(model: LayersModel, loss: BatchLoss<B>, optimizer: AdamW, checkpointLayers?: number) {
    this.variables = trainableVariables(model);
    this.loss = loss;
    this.optimizer = optimizer;
    this.apply = modelRunner(true, checkpointLayers);
    this.layers = celoraLayers(model);
  }

  /**
   * One step of the optimizer on batches, which together count as one: their losses are weighted by what they count for.
   * @returns The loss, not read yet, and the layers that made a selection.
   */
  step(batches: B[], learningRate: number): {loss: tf.Scalar; refreshed: string[]} {
    const refreshes = this.layers.map(({gradient}) => gradient.stats.refreshes);
    const total = batches.reduce((sum, batch) => sum + weightOf(batch), 0);
    const sums = new Map<string, tf.Tensor>();
    let loss: tf.Scalar | undefined;
    try {
      for (const batch of batches) {
        const share = total === 0 ? 1 / batches.length : weightOf(batch) / total;
        const {value, grads} = this.gradients(batch, share);
        for (const [name, gradient] of Object.entries(grads)) sums.set(name, added(sums.get(name), gradient));
        loss = added(loss, value);
      }
      this.unproven.push(new Snapshot(this.variables));
      this.optimizer.learningRate = learningRate;
      this.optimizer.applyGradients(Object.fromEntries(sums));
    } catch (error) {
      loss?.dispose();
      throw error;
    } finally {
      tf.dispose([...sums.values()]);
      for (const batch of batches) disposeBatch(batch);
    }
    const refreshed = this.layers.filter(({gradient}, i) => gradient.stats.refreshes > refreshes[i]!);
    return {loss: loss!, refreshed: refreshed.map(({name}) => name)};
  }

  /** Says which layers are exact in a step (from 0): those whose `exactSteps` is a fraction of the run that it is in. */
  holdExact(step: number, steps: number): void {
    for (const {config, gradient} of this.layers) {
      gradient.exact = config.exactSteps < 1 && step < Math.round(config.exactSteps * steps);
    }
  }

  /** @param share What the batch counts for in its step. */
  private gradients(batch: B, share: number): {value: tf.Scalar; grads: tf.NamedTensorMap} {
    const scaled = () => {
      const loss = this.loss(batch, this.apply);
      return share === 1 ? loss : tf.mul<tf.Scalar>(loss, share);
    };
    return tf.variableGrads(scaled, this.variables);
  }

  /** The loss of the oldest step that was not known is a number. */
  confirm(): void {
    this.good?.dispose();
    this.good = this.unproven.shift();
  }

  /** Gives the model the last weights that are known to have a loss, or those from the start. */
  rollBack(): void {
    (this.good ?? this.unproven[0])?.restore();
  }

  dispose(): void {
    for (const {gradient} of this.layers) gradient.exact = false;
    for (const snapshot of [this.good, ...this.unproven]) snapshot?.dispose();
    this.optimizer.dispose();
  }
}

/** The sum, in place of both. */
function added<T extends tf.Tensor>(sum: T | undefined, term: T): T {
  if (!sum) return term;
  const result = tf.add<T>(sum, term);
  tf.dispose([sum, term]);
  return result;
}
