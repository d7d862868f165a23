import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {type HalfFormat, type HalfLayout, PackHalf, UnpackHalf} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';
import {matrix} from './check.ts';

/** A matrix [rows, columns] at half precision, as `packHalf` makes it. */
export interface HalfMatrix extends HalfLayout {
  /** int32 [rows, ⌈columns / 2⌉]. */
  words: tf.Tensor;
}

/** A frozen matrix, at full or half precision. */
export type Weights = tf.Tensor | HalfMatrix;

const FORMATS: readonly string[] = ['float16', 'bfloat16'] satisfies HalfFormat[];
/** From here on the nearest half-precision number is infinite. */
const OVERFLOW = 65520;

/** The error of a number that float16 cannot hold; undefined for one that it can. */
export const overflowError = (owner: string, largest: number): Error | undefined =>
  largest < OVERFLOW || Number.isNaN(largest)
    ? undefined
    : new Error(
        `${owner}: 'float16' holds numbers from -65504 to 65504, but there is one of size ${largest}`,
      );

/**
 * Whether tensors of the current backend can be read at once: WebGPU does it through a canvas, which Node has not, and by
 * which Chromium loses a software adapter's device.
 */
const readsAtOnce = () => tf.getBackend() !== 'webgpu';

/**
 * Refuses numbers beyond a format's range, and a backend that cannot hold words.
 * @returns Where they cannot be read at once, the largest magnitude when it is there: the caller is to look at it then.
 */
export function checkRange(owner: string, x: tf.Tensor, format: HalfFormat): Promise<number> | undefined {
  if (tf.getBackend() === 'webgl') {
    throw new Error(
      `${owner}: ${show(format)} is not to be had on backend 'webgl': it has no 32-bit integers`,
    );
  }
  if (format !== 'float16' || x.size === 0) return undefined;
  const largest = tf.tidy(() => tf.max(tf.abs(x)));
  if (!readsAtOnce()) {
    tf.keep(largest);
    return largest
      .data()
      .then(([value]) => value!)
      .finally(() => largest.dispose());
  }
  const [value] = largest.dataSync();
  largest.dispose();
  const error = overflowError(owner, value!);
  if (error) throw error;
  return undefined;
}

/**
 * A matrix at half precision: the nearest numbers, ties to even, in half the memory.
 * @param x [rows, columns], float32.
 * @param format 'float16' (11 significant bits, numbers up to 65504) or 'bfloat16' (8, the range of float32).
 * @throws Error for an operand that is no float32 matrix, a format that there is not, a number that float16 cannot hold
 *   (on WebGPU, where it cannot be read at once, it becomes infinite), and on backend 'webgl', which has no 32-bit integers.
 */
export function packHalf(x: tf.Tensor, format: HalfFormat): HalfMatrix {
  const op = 'packHalf';
  const [, columns] = matrix(op, 'x', x);
  if (!FORMATS.includes(format)) {
    throw new Error(`${op}: format must be one of ${FORMATS.map(show).join(', ')}, but is ${show(format)}`);
  }
  void checkRange(op, x, format)?.catch(() => undefined);
  return {words: packWords(x, format), format, columns};
}

/** The words alone, of numbers that are known to be in range. */
export const packWords = (x: tf.Tensor, format: HalfFormat): tf.Tensor =>
  runKernel<tf.Tensor>(PackHalf, {x}, {format});

/** The matrix [rows, columns] as float32. */
export const unpackHalf = ({words, format, columns}: HalfMatrix): tf.Tensor2D =>
  runKernel<tf.Tensor2D>(UnpackHalf, {words}, {format, columns} satisfies HalfLayout);

export const isHalf = (weights: Weights): weights is HalfMatrix => 'words' in weights;

/** A matrix as registered kernels take it: a tensor, and how it lies if that is words. */
export const operandOf = (weights: Weights): {tensor: tf.Tensor; half?: HalfLayout} =>
  isHalf(weights)
    ? {tensor: weights.words, half: {format: weights.format, columns: weights.columns}}
    : {tensor: weights};

/** The opposite. */
export const weightsOf = (tensor: tf.Tensor, half: HalfLayout | undefined): Weights =>
  half ? {words: tensor, ...half} : tensor;

/** The values as float32; made for the caller at half precision, so call it in a tidy. */
export const floatsOf = (weights: Weights): tf.Tensor => (isHalf(weights) ? unpackHalf(weights) : weights);

/** Rows and columns. */
export const shapeOf = (weights: Weights): [number, number] =>
  isHalf(weights) ? [weights.words.shape[0]!, weights.columns] : (weights.shape as [number, number]);

/** As `matrix`, for a matrix of either precision. */
export function weightMatrix(
  op: string,
  name: string,
  weights: Weights,
  shape: (number | undefined)[] = [],
): [number, number] {
  if (!isHalf(weights)) return matrix(op, name, weights, shape);
  const {words, format, columns} = weights;
  const [rows, found] = [words.shape[0]!, shapeOf(weights)];
  const fits = shape.every((size, i) => size === undefined || found[i] === size);
  const isWords = words.dtype === 'int32' && words.rank === 2 && words.shape[1] === Math.ceil(columns / 2);
  if (fits && isWords && FORMATS.includes(format)) return [rows, columns];
  const wanted = [0, 1].map((i) => shape[i] ?? 'any').join(', ');
  throw new Error(
    `${op}: ${name} must be a matrix [${wanted}], but is ${show(format)} of ${columns} columns in ${words.dtype} ` +
      `words [${words.shape}]`,
  );
}
