import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import type {ActivationGradient} from '../gradients/activation_gradient.ts';
import {isRecording, offTape} from '../gradients/off_tape.ts';
import {registerGradients} from '../gradients/register.ts';
import {ActivationGrad, LoRAMatMul} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';
import {AttachGradient, CrossEntropy, CrossEntropyGrad} from '../kernels/training_kernel_names.ts';
import {activationGrad} from './activation_grad.ts';
import {vector} from './check.ts';
import {isHalf, operandOf, type Weights, weightMatrix} from './half.ts';
import {checkLabels, countLabels, type LabelOptions} from './labels.ts';
import {largestTensor} from './largest_tensor.ts';
import {product} from './product.ts';

export interface LinearCrossEntropyArgs extends LabelOptions {
  /** Hidden states x [..., d], float32. */
  x: tf.Tensor;
  /**
   * The head W [d, V]; [V, d] if `transposed`, as an embedding's table is. Or parts of one, the classes of each following those
   * before, for a head that is larger than a tensor may be (`largestTensor`). One in parts or at half precision is frozen.
   */
  kernel: Weights | readonly Weights[];
  /** Default false. */
  transposed?: boolean;
  /** b [V]. */
  bias?: tf.Tensor | undefined;
  /** int32 [...]. */
  labels: tf.Tensor;
  /** How dx is computed; absent = exactly, as it must be with a head in parts. The object owns the derived state: one for each head. */
  gradient?: ActivationGradient | undefined;
  /** Whether kernel and bias get a gradient. Default: each if it is a trainable `tf.Variable`. */
  trainKernel?: boolean;
  /**
   * The most bytes that the logits of a chunk of rows may take; one row is the least. Default 256 MiB, or what a tensor may
   * have if that is less.
   */
  chunkBytes?: number;
}

interface Head {
  /** One, or several of which each has the classes that follow those of the one before. */
  parts: readonly Weights[];
  /** Of each part. */
  classes: number[];
  transposed: boolean;
  bias: tf.Tensor | undefined;
  gradient: ActivationGradient | undefined;
  /** What identifies the kernel's values if it is frozen. */
  frozenData: object | undefined;
}

type Want = 'x' | 'kernel' | 'bias';

/**
 * Cross-entropy of the logits xW + b of a model's head, without ever holding all of them: rows are taken in chunks, and
 * while a tape records, the gradients are computed right then from each chunk's logits, which so are needed once
 * (the idea of Liger Kernel's fused linear cross-entropy, arXiv 2410.10989). Only dx stays, and is scaled in backward; it is
 * computed whether or not x leads to a variable, which nobody knows yet.
 *
 * A chunk holds every c-th row, not neighbours: a sample of the whole batch, on which an approximate `gradient`
 * selects its columns. The chunks of a call are one backward pass of it, counted when the loss is computed.
 * @returns The mean (or sum) over the labels that count, [], as `crossEntropy` does; bad labels as there.
 * @throws Error for operands of the wrong shape or dtype and for a bad option.
 */
export function linearCrossEntropy(args: LinearCrossEntropyArgs): tf.Scalar {
  const op = 'linearCrossEntropy';
  registerGradients();
  const {x, bias, transposed = false, gradient, chunkBytes = Math.min(2 ** 28, largestTensor())} = args;
  const parts: readonly Weights[] = Array.isArray(args.kernel) ? args.kernel : [args.kernel as Weights];
  const {inputs, classes} = checkParts(op, parts, transposed);
  const allClasses = classes.reduce((sum, count) => sum + count);
  if (x.rank < 2 || x.dtype !== 'float32' || x.shape.at(-1) !== inputs) {
    throw new Error(
      `${op}: x must be float32 of shape [..., ${inputs}] and rank ≥ 2, but is ${x.dtype} of shape [${x.shape}]`,
    );
  }
  checkLabels(op, args.labels, x.shape.slice(0, -1));
  if (bias) vector(op, 'bias', bias, allClasses);
  if (gradient && gradient.transposed !== transposed) {
    throw new Error(`${op}: gradient must be one for a ${transposed ? 'transposed' : 'plain'} kernel`);
  }
  if (typeof chunkBytes !== 'number' || !(chunkBytes > 0))
    throw new Error(`${op}: chunkBytes must be a number > 0, but is ${show(chunkBytes)}`);

  const [whole] = parts.length === 1 && !isHalf(parts[0]!) ? [parts[0]] : [];
  if (args.trainKernel && !whole) {
    throw new Error(`${op}: trainKernel must not be true for a kernel in parts or at half precision`);
  }
  if (gradient && parts.length > 1) {
    throw new Error(`${op}: gradient must be absent for a kernel in parts, but there are ${parts.length}`);
  }
  const trains = (tensor: tf.Tensor) =>
    args.trainKernel ?? (tensor instanceof tf.Variable && tensor.trainable);
  const trainsKernel = whole !== undefined && trains(whole);
  const wants = new Set<Want>();
  if (isRecording()) {
    wants.add('x');
    if (trainsKernel) wants.add('kernel');
    if (bias && trains(bias)) wants.add('bias');
  }
  const frozenData = trainsKernel ? undefined : operandOf(parts[0]!).tensor.dataId;
  const head = {parts, classes, bias, transposed, gradient, frozenData};
  return tf.tidy(() => {
    const rows = tf.reshape(x, [-1, inputs]) as tf.Tensor2D;
    const chunkRows = Math.max(1, Math.floor(chunkBytes / (4 * allClasses)));
    const chunks = Math.max(1, Math.ceil(rows.shape[0] / chunkRows));
    const {loss, ...gradients} = offTape(() => {
      const {labels, scale} = countLabels(op, args.labels, allClasses, args);
      return lossAndGradients(rows, labels, scale, head, chunks, wants);
    });
    let value = loss;
    for (const [name, input] of Object.entries({x: rows, kernel: whole, bias})) {
      const given = gradients[name as Want];
      if (input && given) value = runKernel<tf.Scalar>(AttachGradient, {value, input, gradient: given});
    }
    return value;
  });
}

/** The width d of a head's parts, and the classes of each. */
function checkParts(
  op: string,
  parts: readonly Weights[],
  transposed: boolean,
): {inputs: number; classes: number[]} {
  if (parts.length === 0) throw new Error(`${op}: kernel must have at least one part, but has none`);
  const inputs = weightMatrix(op, 'kernel', parts[0]!)[transposed ? 1 : 0];
  const classes = parts.map(
    (part) =>
      weightMatrix(op, 'kernel', part, transposed ? [undefined, inputs] : [inputs])[transposed ? 0 : 1],
  );
  return {inputs, classes};
}

type Gradients = {[name in Want]?: tf.Tensor};

function lossAndGradients(
  x: tf.Tensor2D,
  labels: tf.Tensor1D,
  scale: tf.Scalar,
  head: Head,
  chunks: number,
  wants: Set<Want>,
): Gradients & {loss: tf.Scalar} {
  const losses: tf.Tensor[] = [];
  const dxs: tf.Tensor[] = [];
  const sums: Gradients = {};
  for (let chunk = 0; chunk < chunks; chunk++) {
    const done = tf.tidy(() => {
      const rows = tf.range(chunk, x.shape[0], chunks, 'int32');
      const part = chunks === 1 ? x : tf.gather(x, rows);
      const partLabels = chunks === 1 ? labels : tf.gather(labels, rows);
      const {losses, dLogits} = chunkLosses(part, partLabels, scale, head, wants.size > 0);
      const made: Gradients = dLogits ? chunkGradients(part, dLogits, head, chunk > 0, wants) : {};
      for (const name of ['kernel', 'bias'] as const) {
        const [sum, more] = [sums[name], made[name]];
        if (sum && more) made[name] = tf.add(sum, more);
      }
      return {...made, losses};
    });
    losses.push(done.losses);
    if (done.x) dxs.push(done.x);
    for (const name of ['kernel', 'bias'] as const) {
      sums[name]?.dispose();
      if (done[name]) sums[name] = done[name];
    }
  }
  return {
    ...sums,
    ...(dxs.length > 0 ? {x: interleave(dxs)} : {}),
    loss: tf.mul(tf.sum(tf.concat(losses)), scale),
  };
}

function chunkLosses(
  x: tf.Tensor,
  labels: tf.Tensor,
  scale: tf.Scalar,
  head: Head,
  wantsGradient: boolean,
): {losses: tf.Tensor; dLogits?: tf.Tensor2D} {
  const logits = logitsOf(x, head);
  const inputs = {logits, labels};
  const [losses, top, total] = runKernel<[tf.Tensor, tf.Tensor, tf.Tensor]>(CrossEntropy, inputs);
  if (!wantsGradient) return {losses};
  const dLogits = runKernel<tf.Tensor2D>(CrossEntropyGrad, {...inputs, top, total, scale});
  logits.dispose();
  return {losses, dLogits};
}

function logitsOf(x: tf.Tensor, {parts, bias, transposed}: Head): tf.Tensor {
  const products = parts.map((part) => {
    const {tensor, half} = operandOf(part);
    // x · tableᵀ is what that kernel computes for a dy of x
    if (transposed)
      return runKernel<tf.Tensor>(ActivationGrad, {dy: x, kernel: tensor}, {transposed: false, half});
    const fused = bias && parts.length === 1;
    const attrs = {hasBias: Boolean(fused), hasAdapter: false, scale: 1, activation: 'linear', half};
    return runKernel<[tf.Tensor]>(LoRAMatMul, fused ? [x, tensor, bias] : [x, tensor], attrs)[0];
  });
  const logits = products.length === 1 ? products[0]! : tf.concat(products, 1);
  return bias && (transposed || parts.length > 1) ? tf.add(logits, bias) : logits;
}

function chunkGradients(
  x: tf.Tensor,
  dLogits: tf.Tensor2D,
  {parts, classes, transposed, gradient, frozenData}: Head,
  continued: boolean,
  wants: Set<Want>,
): Gradients {
  const [kernel] = parts as [Weights];
  const made: Gradients = {};
  if (parts.length > 1) {
    const dys = tf.split(dLogits, classes, 1);
    const terms = parts.map((part, i) => activationGrad({dy: dys[i]!, kernel: part}, transposed));
    made.x = terms.reduce((sum, term) => tf.add(sum, term));
  } else if (gradient) made.x = gradient.compute(dLogits, kernel, frozenData, {}, continued);
  else made.x = activationGrad({dy: dLogits, kernel}, transposed);
  if (wants.has('kernel')) made.kernel = transposed ? product(dLogits, x, true) : product(x, dLogits, true);
  if (wants.has('bias')) made.bias = tf.sum(dLogits, 0);
  return made;
}

/** The rows of c parts in their order: row i of part j was row i·c + j. The last parts may be a row shorter. */
function interleave(parts: tf.Tensor[]): tf.Tensor {
  if (parts.length === 1) return parts[0]!;
  const starts = parts.map((_, j) => parts.slice(0, j).reduce((sum, part) => sum + part.shape[0]!, 0));
  const count = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const order = Int32Array.from(
    {length: count},
    (_, row) => starts[row % parts.length]! + Math.floor(row / parts.length),
  );
  return tf.gather(tf.concat(parts), tf.tensor1d(order, 'int32'));
}
