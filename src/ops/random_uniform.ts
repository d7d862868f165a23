import type {Tensor} from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {DeviceRandomUniform} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';

/**
 * Uniform random numbers in [0, 1), made on the device: `tf.randomUniform` makes them in JavaScript and uploads them.
 * A counter-based hash (a Feistel network of 5 rounds on 2 × 12 bits), good for masks and starts, not for secrets.
 * @param shape Any; the numbers depend on their place in the flattened tensor alone.
 * @param seed An integer, 0 ≤ seed < 2³²; equal seeds give equal bits on every backend.
 * @returns float32, multiples of 2⁻²⁴.
 * @throws Error for a wrong shape or seed.
 */
export function deviceRandomUniform<T extends Tensor = Tensor>(shape: number[], seed: number): T {
  checkDraw('deviceRandomUniform', shape, seed);
  return runKernel<T>(DeviceRandomUniform, {}, {shape, seed});
}

/** Checks what random numbers are drawn by. */
export function checkDraw(op: string, shape: number[], seed: number, shapeName = 'shape'): void {
  if (!Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size >= 0)) {
    throw new Error(`${op}: ${shapeName} must be an array of integers ≥ 0, but is ${show(shape)}`);
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new Error(`${op}: seed must be an integer from 0 to 2³² − 1, but is ${show(seed)}`);
  }
}
