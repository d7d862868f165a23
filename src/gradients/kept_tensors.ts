import * as tf from '@tensorflow/tfjs-core';
import {isHalf} from '../ops/half.ts';

/** The tensors in an object, those of matrices at half precision among them. */
const tensorsIn = (held: object | undefined): tf.Tensor[] =>
  Object.values(held ?? {})
    .map((value) => (typeof value === 'object' && isHalf(value) ? value.words : value))
    .filter((value) => value instanceof tf.Tensor);

/** Frees the tensors in an object. */
export const disposeAll = (held: object | undefined): void => tf.dispose(tensorsIn(held));

/** Runs `make` and keeps the tensors it returns beyond every tidy around, that of a gradient among them. */
export function keepAll<T extends object>(make: () => T): T {
  return tf.tidy(() => {
    const made = make();
    for (const tensor of tensorsIn(made)) tf.keep(tensor);
    return made as unknown as tf.TensorContainer;
  }) as unknown as T;
}
