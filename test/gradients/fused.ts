import * as tf from '@tensorflow/tfjs-core';
import {expectClose} from '../backends.ts';
import {workOf} from '../ops/profile.ts';
import {type Operand, random, tensorOf} from '../ops/values.ts';
import {differences} from '../reference/differences.ts';
import {uploadsIn} from '../support/uploads.ts';

/** A fused op as its gradient is tested. */
export interface Fused {
  operands: readonly Operand[];
  op: (...operands: tf.Tensor[]) => tf.Tensor;
  /** The same of stock ops. */
  plain: (...operands: tf.Tensor[]) => tf.Tensor;
  /** The same in float64. */
  formula: (...operands: Float64Array[]) => Float64Array;
}

/** Checks the gradients of every operand against differences of the formula and against autodiff of the stock ops. */
export async function expectGradients(
  {operands, op, plain, formula}: Fused,
  tolerance?: number,
): Promise<void> {
  const tensors = operands.map(tensorOf);
  const dy = random(op(...tensors).shape, 99);
  const actual = tf.grads(op)(tensors, tensorOf(dy));
  const automatic = tf.grads(plain)(tensors, tensorOf(dy));
  const values = operands.map((operand) => operand.values);
  for (const [i, expected] of differences(formula, values, dy.values).entries()) {
    await expectClose(actual[i]!, expected, tolerance);
    await expectClose(actual[i]!, await automatic[i]!.data(), tolerance);
  }
}

/** The shapes of the arrays made in JavaScript by a forward and a backward pass. */
export function uploadsOf({operands, op}: Fused): number[][] {
  const tensors = operands.map(tensorOf);
  const dy = tensorOf(random(op(...tensors).shape, 99));
  return uploadsIn(() => tf.grads(op)(tensors, dy));
}

/** How often each kernel runs in the forward and backward pass of Σ f², for these of its variables. */
export const kernelCounts = (f: () => tf.Tensor, trained: tf.Variable[]): Promise<Record<string, number>> =>
  workOf(() => {
    const {value, grads} = tf.variableGrads(() => tf.sum(tf.square(f())), trained);
    return [value, ...Object.values(grads)];
  });

/** An operand as a variable. */
export const variableOf = (operand: Operand, trainable = true): tf.Variable =>
  tf.tidy(() => tf.variable(tensorOf(operand), trainable));
