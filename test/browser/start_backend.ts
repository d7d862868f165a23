import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {registerWebGPUKernels} from '../../src/kernels/webgpu/register.ts';
import {suitSoftwareAdapter} from '../support/backend_names.ts';

type Twin = typeof import('../support/start_backend.ts');

// in the page that the tests of WebGPU run in, this stands for ../support/start_backend.ts, which only Node can load

/** Why there can be no tests on a backend here; undefined if it is worth starting. */
export const absence: Twin['absence'] = (backend) => (backend === 'webgpu' ? undefined : 'tested in Node');

/** Starts a backend, on the device that tfjs makes for a page, and says what it runs on. */
export const start: Twin['start'] = async (backend) => {
  if (!(await tf.setBackend(backend))) throw new Error(`the backend '${backend}' does not start`);
  const {vendor, architecture} = (tf.backend() as unknown as {adapterInfo: GPUAdapterInfo}).adapterInfo;
  if (architecture === 'swiftshader') suitSoftwareAdapter();
  return `${vendor} ${architecture}`;
};

/** Registers our own kernels of a backend, so that its flag is there. */
export const registerOwn: Twin['registerOwn'] = async () => registerWebGPUKernels();
