import * as tf from '@tensorflow/tfjs-core';
import {type ActivationGradient, factorize, type LoRAMatMulArgs, loraMatMul} from '../../src/index.ts';
import {matrixOf, randomDy, randomProduct, type Sizes, tensorOf} from '../ops/tensors.ts';
import {approxDx} from '../reference/columns.ts';
import {at, type Matrix, matrix} from '../reference/matrix.ts';

/** A scalar whose gradient with respect to y is dy. */
export const lossOf = (y: tf.Tensor, dy: tf.Tensor): tf.Scalar => tf.sum(tf.mul(y, dy));

/** One backward pass to x alone, as every layer but the first has it. */
export const passToX = (args: LoRAMatMulArgs, dy: tf.Tensor): tf.Tensor =>
  tf.tidy(() => tf.grad((x: tf.Tensor) => lossOf(loraMatMul({...args, x}), dy))(args.x));

/** The same with everything but the kernel left out. */
export const pass = (gradient: ActivationGradient, kernel: tf.Tensor, dy: Matrix): tf.Tensor =>
  tf.tidy(() => passToX({x: tf.ones([dy.rows, kernel.shape[0]!]), kernel, gradient}, tensorOf(dy)));

/** A frozen or trainable variable of a reference matrix. */
export const variableOf = (matrix: Matrix, trainable: boolean): tf.Variable =>
  tf.tidy(() => tf.variable(tensorOf(matrix), trainable));

/** The product of the tests of ActivationGradient, and the rank r₀ of its frozen factors. */
export const SIZES: Sizes = {rows: 8, inputs: 64, units: 96, rank: 0, bias: false};
/** Not smaller: for results of up to 128 numbers tfjs takes a WebGPU program that software runs very slowly. */
export const FROZEN_RANK = 12;

const memo = <K extends object | number, V>(make: (key: K) => V): ((key: K) => V) => {
  const made = new Map<K, V>();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key)!;
  };
};

/** W of a seed. */
export const kernelMatrix = memo((seed: number): Matrix => randomProduct(SIZES, seed).kernel);

/** Its frozen factors: they are tested elsewhere, and take long on a software WebGPU. */
const factorsOf = memo(async (w: Matrix) => {
  const {frozenA, frozenB} = tf.tidy(() => factorize(tensorOf(w), FROZEN_RANK));
  const factors = {frozenA: await matrixOf(frozenA), frozenB: await matrixOf(frozenB)};
  tf.dispose([frozenA, frozenB]);
  return factors;
});

/** dy whose columns of one half (0 or 1) are large: those get selected. */
export const dyOf = (half: number): Matrix => {
  const normal = randomDy(SIZES, 3);
  return matrix(SIZES.rows, SIZES.units, (i, j) =>
    Math.fround(at(normal, i, j) * (Math.floor((2 * j) / SIZES.units) === half ? 100 : 1)),
  );
};

export const indicesOf = async (gradient: ActivationGradient): Promise<number[]> =>
  Array.from(await gradient.indices!.data());

/** What dx must be for the columns selected; with a frozen kernel's factors or without. */
export async function expectedDx(gradient: ActivationGradient, w: Matrix, dy: Matrix, frozen = true) {
  const factors = frozen ? await factorsOf(w) : undefined;
  return approxDx({kernel: w, scale: 1}, dy, await indicesOf(gradient), factors).data;
}
