import * as tf from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from './backend.ts';
import {pipelinesCompiled} from './dispatch.ts';

/** With this flag tfjs's programs, and ours, are compiled in the background and not run. */
const COMPILE_ONLY = 'WEBGPU_ENGINE_COMPILE_ONLY';

/**
 * Compiles the programs that `run` would run on backend webgpu, beside each other; what it returns or keeps has no values.
 * On another backend `run` is not called.
 * @returns How many were compiled.
 */
export async function compileAhead(run: () => void): Promise<number> {
  if (tf.getBackend() !== 'webgpu') return 0;
  const backend = tf.backend() as WebGPUBackend;
  tf.env().set(COMPILE_ONLY, true);
  try {
    run();
  } finally {
    tf.env().set(COMPILE_ONLY, false);
  }
  const ofTfjs = Object.values(backend.pipelineCache).filter(
    (pipeline) => pipeline instanceof Promise,
  ).length;
  const [ours] = await Promise.all([pipelinesCompiled(backend), backend.checkCompileCompletionAsync()]);
  return ours + ofTfjs;
}
