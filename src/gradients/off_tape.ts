import * as tf from '@tensorflow/tfjs-core';

/** Whether what is computed now is recorded for a gradient. */
export function isRecording(): boolean {
  const {gradientDepth, kernelDepth} = tf.engine().state;
  return gradientDepth > 0 && kernelDepth === 0;
}

/**
 * Runs `f` in a tidy and does not record it, as tfjs does with what a kernel computes. Unlike a kernel it may keep
 * tensors. Whoever uses this puts the result on the tape with a gradient of its own.
 */
export function offTape<T extends tf.TensorContainer>(f: () => T): T {
  const {state} = tf.engine();
  state.kernelDepth++;
  try {
    return tf.tidy(f);
  } finally {
    state.kernelDepth--;
  }
}
