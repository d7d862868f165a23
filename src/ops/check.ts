import type {Tensor} from '@tensorflow/tfjs-core';

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
