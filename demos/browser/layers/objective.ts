import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {type ApplyModel, type BatchLoss, type BatchSource, evaluateLoss} from '../../../src/index.ts';
import type {LabelledBatch, Targets} from './labelled_data.ts';
import type {Fit} from './protocol.ts';

/** Keeps the logarithm of a probability finite, as tfjs's own losses do. */
const EPSILON = 1e-7;

export interface Objective {
  loss: BatchLoss<LabelledBatch>;
  /** How well the rows of a source are predicted. */
  fit(rows: BatchSource<LabelledBatch>): Promise<Fit>;
}

/** The activation of the model's last layer, 'linear' where it has none. */
function lastActivation(model: LayersModel): string {
  const last = model.layers.at(-1)!;
  if (last.getClassName() === 'Softmax') return 'softmax';
  return (last.getConfig().activation as string | undefined) ?? 'linear';
}

const logOf = (probabilities: tf.Tensor): tf.Tensor =>
  tf.log(tf.clipByValue(probabilities, EPSILON, 1 - EPSILON));

/** −log of the probability that a row's class has, the mean of the rows. */
function crossEntropy(model: LayersModel): (predicted: tf.Tensor, y: tf.Tensor) => tf.Tensor {
  const activation = lastActivation(model);
  if (activation === 'softmax') return (p, y) => tf.neg(tf.mean(tf.sum(tf.mul(y, logOf(p)), -1)));
  if (activation === 'sigmoid') {
    const ofBoth = (p: tf.Tensor, y: tf.Tensor) =>
      tf.add(tf.mul(y, logOf(p)), tf.mul(tf.sub(1, y), logOf(tf.sub(1, p))));
    return (p, y) => tf.neg(tf.mean(tf.sum(ofBoth(p, y), -1)));
  }
  return (logits, y) =>
    y.shape.at(-1) === 1
      ? tf.losses.sigmoidCrossEntropy(y, logits)
      : tf.neg(tf.mean(tf.sum(tf.mul(y, tf.logSoftmax(logits)), -1)));
}

/** The fraction of rows whose label is not the one predicted. */
function errorRate(model: LayersModel): (predicted: tf.Tensor, y: tf.Tensor) => tf.Tensor {
  const middle = lastActivation(model) === 'sigmoid' ? 0.5 : 0;
  return (predicted, y) => {
    const wrong =
      y.shape.at(-1) === 1
        ? tf.notEqual(tf.greater(predicted, middle), tf.greater(y, 0.5))
        : tf.notEqual(tf.argMax(predicted, -1), tf.argMax(y, -1));
    return tf.mean(tf.cast(wrong, 'float32'));
  };
}

/** What is to be lowered: the mean squared error of numbers, the cross entropy of classes by what the last layer gives. */
export function objectiveFor(model: LayersModel, {classes}: Targets): Objective {
  const of =
    (measure: (predicted: tf.Tensor, y: tf.Tensor) => tf.Tensor): BatchLoss<LabelledBatch> =>
    ({x, y}: LabelledBatch, apply: ApplyModel) =>
      measure(apply(model, x), y) as tf.Scalar;
  const loss = of(
    classes === undefined ? (predicted, y) => tf.losses.meanSquaredError(y, predicted) : crossEntropy(model),
  );
  return {
    loss,
    async fit(rows) {
      const accuracy =
        classes === undefined ? undefined : 1 - (await evaluateLoss(rows, of(errorRate(model))));
      return {loss: await evaluateLoss(rows, loss), accuracy};
    },
  };
}
