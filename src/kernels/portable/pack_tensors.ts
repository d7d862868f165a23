import * as tf from '@tensorflow/tfjs-core';
import type {PackTensorsInputs, UnpackTensorsAttrs, UnpackTensorsInputs} from '../training_kernel_names.ts';

export function packTensors(tensors: PackTensorsInputs): tf.Tensor {
  return tf.concat(tensors.map((tensor) => tf.reshape(tensor, [-1])));
}

const sizeOf = (shape: number[]): number => shape.reduce((size, n) => size * n, 1);

/** By halves: every slice on wasm first copies the whole of what it slices. */
function halves(x: tf.Tensor, sizes: number[]): tf.Tensor[] {
  if (sizes.length === 1) return [x];
  const [left, right] = [sizes.slice(0, sizes.length >> 1), sizes.slice(sizes.length >> 1)];
  const total = (part: number[]) => part.reduce((sum, size) => sum + size, 0);
  const [first, second] = tf.split(x, [total(left), total(right)]) as [tf.Tensor, tf.Tensor];
  return [...halves(first, left), ...halves(second, right)];
}

export function unpackTensors({flat}: UnpackTensorsInputs, {shapes}: UnpackTensorsAttrs): tf.Tensor[] {
  const sizes = shapes.map(sizeOf);
  const parts = tf.getBackend() === 'wasm' ? halves(flat, sizes) : tf.split(flat, sizes);
  return parts.map((part, i) => tf.reshape(part, shapes[i]!));
}
