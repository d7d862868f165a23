import * as tf from '@tensorflow/tfjs-core';

/** The backends of tfjs that the package is for. */
export const BACKENDS = ['cpu', 'wasm', 'webgpu', 'webgl', 'tensorflow'] as const;
export type Backend = (typeof BACKENDS)[number];

/**
 * The one of tfjs's four programs for products on WebGPU that suits software adapters: of the others two take a second
 * to compile and one, which reduces across threads, is a hundred times slower.
 */
const MATMUL_SMALL_OUTPUT_SIZE = 2;

/** Makes stock products on a software adapter fast enough for tests. */
export const suitSoftwareAdapter = (): void =>
  tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', MATMUL_SMALL_OUTPUT_SIZE);
