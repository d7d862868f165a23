import type {Tensor} from '@tensorflow/tfjs-core';
import {show} from '../config.ts';

/** Checks that a tensor is a float32 matrix, its dimensions those given; returns its shape. */
export function matrix(
  op: string,
  name: string,
  tensor: Tensor,
  shape: (number | undefined)[] = [],
): [number, number] {
  const fits = tensor.rank === 2 && shape.every((size, i) => size === undefined || tensor.shape[i] === size);
  if (!fits || tensor.dtype !== 'float32') {
    const wanted = [0, 1].map((i) => shape[i] ?? 'any').join(', ');
    throw new Error(
      `${op}: ${name} must be a float32 matrix [${wanted}], but is ${tensor.dtype} of shape [${tensor.shape}]`,
    );
  }
  return tensor.shape as [number, number];
}

/** Checks that a tensor is a vector of `size` numbers of that dtype. */
export function vector(
  op: string,
  name: string,
  tensor: Tensor,
  size?: number,
  dtype: 'float32' | 'int32' = 'float32',
): void {
  if (tensor.rank !== 1 || tensor.dtype !== dtype || (size !== undefined && tensor.size !== size)) {
    throw new Error(
      `${op}: ${name} must be a ${dtype} vector [${size ?? 'any'}], but is ${tensor.dtype} of shape [${tensor.shape}]`,
    );
  }
}

/** Checks that a tensor has that dtype and these dimensions, of which undefined ones are free. */
export function operand(
  op: string,
  name: string,
  tensor: Tensor,
  shape: readonly (number | undefined)[],
  dtype: 'float32' | 'int32' = 'float32',
): void {
  const fits =
    tensor.rank === shape.length && shape.every((size, i) => size === undefined || tensor.shape[i] === size);
  if (!fits || tensor.dtype !== dtype) {
    const wanted = shape.map((size) => size ?? 'any').join(', ');
    throw new Error(
      `${op}: ${name} must be ${dtype} of shape [${wanted}], but is ${tensor.dtype} of shape [${tensor.shape}]`,
    );
  }
}

/** Checks that a tensor is float32 of shape [..., d]; returns d. */
export function rowsOf(op: string, name: string, tensor: Tensor): number {
  if (tensor.rank < 1 || tensor.dtype !== 'float32') {
    throw new Error(
      `${op}: ${name} must be float32 of shape [..., any], but is ${tensor.dtype} of shape [${tensor.shape}]`,
    );
  }
  return tensor.shape.at(-1)!;
}

/** Checks a number that must be above 0. */
export function positive(op: string, name: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw new Error(`${op}: ${name} must be a finite number > 0, but is ${show(value)}`);
  }
}

/** Checks a number of things. */
export function count(op: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`${op}: ${name} must be an integer ≥ 1, but is ${show(value)}`);
  }
}
