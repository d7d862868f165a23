import * as tf from '@tensorflow/tfjs-core';

/** Runs something with another value of a flag of tfjs, and puts the usual one back when it is done, or its promise is. */
export function withFlag<T>(name: string, value: number | boolean, run: () => T): T {
  const usual = tf.env().get(name);
  const restore = () => tf.env().set(name, usual);
  tf.env().set(name, value);
  let result: T;
  try {
    result = run();
  } catch (error) {
    restore();
    throw error;
  }
  if (result instanceof Promise) return result.finally(restore) as T;
  restore();
  return result;
}
