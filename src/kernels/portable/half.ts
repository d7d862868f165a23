import * as tf from '@tensorflow/tfjs-core';
import {fromBfloat16, fromHalf, toBfloat16, toHalf} from '../../files/half.ts';
import {
  type HalfFormat,
  type HalfLayout,
  type PackHalfAttrs,
  type PackHalfInputs,
  UnpackHalf,
  type UnpackHalfInputs,
  type WeightAttrs,
} from '../kernel_names.ts';

const ENCODE: Record<HalfFormat, (values: Float32Array) => Uint16Array<ArrayBuffer>> = {
  float16: toHalf,
  bfloat16: toBfloat16,
};
const DECODE: Record<HalfFormat, (bits: Uint16Array) => Float32Array> = {
  float16: fromHalf,
  bfloat16: fromBfloat16,
};

/** Rows of numbers in rows of another length, cut off or filled up with zeros. */
function restride<T extends Float32Array | Uint16Array>(from: T, to: T, rows: number): T {
  const [before, after] = [from.length / rows, to.length / rows];
  for (let row = 0; row < rows; row++) {
    to.set(from.subarray(row * before, row * before + Math.min(before, after)), row * after);
  }
  return to;
}

/** On the host: tfjs's operations neither shift bits nor reinterpret them on every backend. */
export function packHalf({x}: PackHalfInputs, {format}: PackHalfAttrs): tf.Tensor {
  const [rows, columns] = x.shape as [number, number];
  const words = Math.ceil(columns / 2);
  const bits = ENCODE[format](x.dataSync() as Float32Array);
  const even = columns % 2 === 0 ? bits : restride(bits, new Uint16Array(rows * 2 * words), rows);
  return tf.tensor2d(new Int32Array(even.buffer), [rows, words], 'int32');
}

export function unpackHalf({words}: UnpackHalfInputs, {format, columns}: HalfLayout): tf.Tensor {
  const rows = words.shape[0]!;
  const {buffer, byteOffset} = words.dataSync();
  const values = DECODE[format](new Uint16Array(buffer, byteOffset, 2 * words.size));
  const own = columns % 2 === 0 ? values : restride(values, new Float32Array(rows * columns), rows);
  return tf.tensor2d(own, [rows, columns]);
}

/** W as float32: the portable kernels decode it as often as they use it. */
export const floatsOf = (kernel: tf.Tensor, {half}: WeightAttrs): tf.Tensor =>
  half ? tf.engine().runKernel(UnpackHalf, {words: kernel}, {...half}) : kernel;
