import * as tf from '@tensorflow/tfjs-core';
import type {Tuning} from '../../../src/kernels/webgpu/tuning.ts';

/** A function that sets values of the tuning for the test that calls it; for the body of a suite. */
export function tuningOfTests(): (values: Partial<Tuning>) => void {
  const usual = new Map<string, number>();
  afterEach(() => {
    for (const [name, value] of usual) tf.env().set(name, value);
  });
  return (values) => {
    for (const [name, value] of Object.entries(values)) {
      if (!usual.has(name)) usual.set(name, tf.env().getNumber(name));
      tf.env().set(name, value);
    }
  };
}
