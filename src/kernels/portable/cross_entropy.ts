import * as tf from '@tensorflow/tfjs-core';
import type {
  CountLabelsAttrs,
  CountLabelsInputs,
  CrossEntropyGradInputs,
  CrossEntropyInputs,
  CrossEntropyLossInputs,
} from '../training_kernel_names.ts';
import {positions} from './positions.ts';

const int = (value: number): tf.Tensor => tf.scalar(value, 'int32');

export function countLabels(
  {labels}: CountLabelsInputs,
  {classes, ignoreLabel}: CountLabelsAttrs,
): tf.Tensor[] {
  const known = tf.logicalAnd(tf.greaterEqual(labels, int(0)), tf.less(labels, int(classes)));
  const counts = tf.logicalAnd(known, tf.notEqual(labels, int(ignoreLabel)));
  const counted = tf.sub(tf.mul(tf.add(labels, int(1)), tf.cast(counts, 'int32')), int(1));
  return [counted, tf.div(1, tf.maximum(tf.sum(tf.cast(counts, 'float32')), 1))];
}

/**
 * Row and column of each label: a flat index is not exact on WebGPU beyond 2²⁴ logits, and gather by batch is wrong on
 * wasm. Column 0 where the label does not count.
 */
function places(labels: tf.Tensor): tf.Tensor {
  const columns = tf.maximum(labels, int(0));
  return tf.stack([tf.cast(positions(labels.size), 'int32'), columns], 1);
}

/** f of a matrix that is not needed any more: a chunk of logits can fill a quarter of a gigabyte. */
function consume(x: tf.Tensor, f: (x: tf.Tensor) => tf.Tensor): tf.Tensor {
  const y = f(x);
  x.dispose();
  return y;
}

/**
 * Sums of rows. wasm adds number to number in float32, off by 3e-4 for 128 k equal ones: there in parts of about √V.
 */
function sumRows(x: tf.Tensor): tf.Tensor {
  const [rows, columns] = x.shape as [number, number];
  let parts = tf.getBackend() === 'wasm' ? Math.floor(Math.sqrt(columns)) : 1;
  while (columns % parts !== 0) parts--;
  return parts === 1 ? tf.sum(x, 1) : tf.sum(tf.sum(tf.reshape(x, [rows, parts, -1]), 2), 1);
}

/** exp(logits − top). */
function powers(logits: tf.Tensor, top: tf.Tensor): tf.Tensor {
  return consume(tf.sub(logits, tf.expandDims(top, 1)), tf.exp);
}

export function crossEntropy({logits, labels}: CrossEntropyInputs): tf.Tensor[] {
  const top = tf.max(logits, 1);
  const total = consume(powers(logits, top), sumRows);
  // top − chosen first: large logits then lose no digits
  const losses = tf.add(tf.sub(top, tf.gatherND(logits, places(labels))), tf.log(total));
  const counts = tf.greaterEqual(labels, int(0));
  return [tf.where(counts, losses, tf.fill(losses.shape, 0)), top, total];
}

export function crossEntropyGrad({logits, labels, top, total, scale}: CrossEntropyGradInputs): tf.Tensor {
  const weights = tf.mul(tf.cast(tf.greaterEqual(labels, int(0)), 'float32'), scale);
  const factors = tf.expandDims(tf.div(weights, total), 1);
  const weighted = consume(powers(logits, top), (x) => tf.mul(x, factors));
  const at = places(labels);
  return consume(weighted, (x) => tf.tensorScatterUpdate(x, at, tf.sub(tf.gatherND(x, at), weights)));
}

export function crossEntropyLoss({loss}: CrossEntropyLossInputs): tf.Tensor {
  return tf.reshape(loss, []);
}
