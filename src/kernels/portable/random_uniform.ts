import * as tf from '@tensorflow/tfjs-core';
import {BLOCK, HALF, hashBlock, roundKeys, SHIFT} from '../counter_hash.ts';
import type {DeviceRandomUniformAttrs, DropoutMaskAttrs} from '../kernel_names.ts';

/**
 * `hashBlock` by stock operations, [size]. Every value is a float32 that is exact, whatever the rounding of a backend:
 * halves are kept as integer + ½, so that `mod` never has a quotient near an integer (WebGPU may err by 2.5 ulp).
 */
export function hashOnDevice(size: number, keys: number[]): tf.Tensor {
  // the one ramp that no backend makes in JavaScript; its step is exactly 1
  const ramp = tf.linspace(0.5, HALF - 0.5, HALF);
  const width = Math.min(size, HALF);
  let left: tf.Tensor = tf.reshape(tf.slice(ramp, 0, Math.ceil(size / HALF)), [-1, 1]);
  let right: tf.Tensor = tf.reshape(tf.slice(ramp, 0, width), [1, width]);
  for (const key of keys) {
    const hash = tf.floor(tf.mul(tf.squaredDifference(right, key + 0.5), 2 ** -SHIFT));
    [left, right] = [right, tf.mod(tf.add(left, hash), HALF)];
  }
  const sum = tf.add(tf.mul(right, HALF), tf.sub(left, (HALF + 1) / 2));
  const values = tf.reshape(tf.mul(sum, 1 / BLOCK), [-1]);
  return values.size === size ? values : tf.slice(values, 0, size);
}

/** Backends whose tensors live in JavaScript's memory: there a loop takes 15 ns a number, operations 120 (wasm). */
const ON_HOST = ['cpu', 'wasm'];

export function deviceRandomUniform(_: object, {shape, seed}: DeviceRandomUniformAttrs): tf.Tensor {
  const size = tf.util.sizeFromShape(shape);
  if (size === 0) return tf.zeros(shape);
  const onHost = ON_HOST.includes(tf.getBackend());
  const blocks = [];
  for (let start = 0; start < size; start += BLOCK) {
    const keys = roundKeys(seed, start / BLOCK);
    const length = Math.min(BLOCK, size - start);
    blocks.push(onHost ? tf.tensor1d(hashBlock(length, keys)) : hashOnDevice(length, keys));
  }
  return tf.reshape(tf.concat(blocks), shape);
}

export function dropoutMask(_: object, {rate, ...attrs}: DropoutMaskAttrs): tf.Tensor {
  const kept = tf.cast(tf.less(deviceRandomUniform(_, attrs), 1 - rate), 'float32');
  return tf.mul(kept, 1 / (1 - rate));
}
