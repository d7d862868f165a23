import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {runKernel} from '../kernels/register.ts';
import {CountLabels} from '../kernels/training_kernel_names.ts';

export interface LabelOptions {
  /** The label that does not count. Default −100. */
  ignoreLabel?: number;
  /** Over the labels that count. Default 'mean'. */
  reduction?: Reduction;
}

export type Reduction = 'mean' | 'sum';

/** Checks that labels are int32 of that shape. */
export function checkLabels(op: string, labels: tf.Tensor, shape: number[]): void {
  if (labels.dtype !== 'int32' || !tf.util.arraysEqual(labels.shape, shape)) {
    throw new Error(
      `${op}: labels must be int32 of shape [${shape}], but is ${labels.dtype} of shape [${labels.shape}]`,
    );
  }
}

/** The labels as the kernels want them, and what scales the sum of the losses; the options are checked. */
export function countLabels(
  op: string,
  labels: tf.Tensor,
  classes: number,
  {ignoreLabel = -100, reduction = 'mean'}: LabelOptions,
): {labels: tf.Tensor1D; scale: tf.Scalar} {
  if (!Number.isInteger(ignoreLabel)) {
    throw new Error(`${op}: ignoreLabel must be an integer, but is ${show(ignoreLabel)}`);
  }
  if (reduction !== 'mean' && reduction !== 'sum') {
    throw new Error(`${op}: reduction must be one of 'mean', 'sum', but is ${show(reduction)}`);
  }
  const inputs = {labels: tf.reshape(labels, [-1])};
  const [counted, mean] = runKernel<[tf.Tensor1D, tf.Scalar]>(CountLabels, inputs, {classes, ignoreLabel});
  return {labels: counted, scale: reduction === 'mean' ? mean : tf.scalar(1)};
}
