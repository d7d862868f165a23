import * as tf from '@tensorflow/tfjs-core';
import {offTape} from '../gradients/off_tape.ts';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {CrossEntropy, CrossEntropyLoss} from '../kernels/training_kernel_names.ts';
import {checkLabels, countLabels, type LabelOptions} from './labels.ts';

/**
 * Cross-entropy of integer labels in nats, log Σ exp(logits) − logits[label], without one-hot labels and without a
 * matrix of probabilities. Stable for logits of any finite size.
 *
 * A label that is negative or ≥ V cannot be told from a good one on a GPU without reading it back: it is treated as
 * `ignoreLabel`, and neither counts nor has a gradient. If no label counts, the loss and its gradient are 0.
 * @param logits [..., V], float32.
 * @param labels int32 [...].
 * @returns The mean (or sum) over the labels that count, []. Its gradient is that of logits.
 * @throws Error for operands of the wrong shape or dtype and for a bad option.
 */
export function crossEntropy(logits: tf.Tensor, labels: tf.Tensor, options: LabelOptions = {}): tf.Scalar {
  const op = 'crossEntropy';
  registerGradients();
  if (logits.rank < 1 || logits.dtype !== 'float32') {
    throw new Error(
      `${op}: logits must be float32 of rank ≥ 1, but is ${logits.dtype} of shape [${logits.shape}]`,
    );
  }
  checkLabels(op, labels, logits.shape.slice(0, -1));
  const classes = logits.shape.at(-1)!;
  return tf.tidy(() => {
    const rows = tf.reshape(logits, [-1, classes]);
    const computed = offTape(() => {
      const counted = countLabels(op, labels, classes, options);
      const inputs = {logits: rows, labels: counted.labels};
      const [losses, top, total] = runKernel<[tf.Tensor, tf.Tensor, tf.Tensor]>(CrossEntropy, inputs);
      return {...counted, top, total, loss: tf.mul(tf.sum(losses), counted.scale)};
    });
    return runKernel<tf.Scalar>(CrossEntropyLoss, {logits: rows, ...computed});
  });
}
