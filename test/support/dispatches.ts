import * as tf from '@tensorflow/tfjs-core';
import {watch} from '../bench/watch.ts';

/** Passes of the GPU in `run`, whose tensors are freed. */
export const dispatchesOf = async (run: () => unknown): Promise<number> =>
  (await watch(async () => tf.tidy(() => void run()))).dispatches;
