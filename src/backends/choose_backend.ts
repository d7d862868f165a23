import {cpus} from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {setUpWebGPU} from './webgpu_node.ts';

export type BackendName = 'webgpu' | 'tensorflow' | 'wasm' | 'cpu';

export interface ChosenBackend {
  backend: BackendName;
  /** What it runs on, for a person to read. */
  device: string;
  /** Why no faster one was taken; empty if there is none faster, or if it was asked for. */
  reason: string;
}

const processor = () => `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}`;

async function importFirst(...names: string[]): Promise<void> {
  for (const name of names) {
    try {
      await import(name);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error(`the package ${names.join(' or ')} is not installed`);
}

/** The GPU that TensorFlow's library uses, if it uses one: it falls back to the CPU in silence. */
function tensorflowDevice(): string {
  const {binding} = tf.backend() as unknown as {
    binding?: {isUsingGpuDevice?: (binding: unknown) => boolean};
  };
  return binding?.isUsingGpuDevice?.(binding) ? 'TensorFlow on a CUDA GPU' : `TensorFlow on ${processor()}`;
}

/** From fast to slow: how each is loaded, and what it then runs on. */
const BACKENDS: Record<
  BackendName,
  {load: (asked: boolean) => Promise<string | undefined>; device: () => string}
> = {
  webgpu: {
    load: async (asked) => (await setUpWebGPU({allowSoftware: asked})).description,
    device: () => 'WebGPU',
  },
  tensorflow: {
    load: async () => void (await importFirst('@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node')),
    device: tensorflowDevice,
  },
  wasm: {
    load: async () => void (await importFirst('@tensorflow/tfjs-backend-wasm')),
    device: () => `WebAssembly on ${processor()}`,
  },
  cpu: {
    load: async () => void (await importFirst('@tensorflow/tfjs-backend-cpu')),
    device: () => `JavaScript on ${processor()}`,
  },
};

async function start(name: BackendName, asked: boolean): Promise<string> {
  const {load, device} = BACKENDS[name];
  const found = await load(asked);
  if (!(await tf.setBackend(name))) throw new Error(`tfjs could not start it`);
  await tf.ready();
  return found ?? device();
}

/**
 * Makes the fastest backend there is the current one: webgpu on a real GPU, else tensorflow, else wasm, else cpu. Their
 * packages are imported as needed; those that are not installed are passed over.
 * @param preference A backend to take instead; 'webgpu' then takes a software adapter too.
 * @throws Error if there is no backend of that name, or if it cannot run here, saying why.
 */
export async function chooseBackend(preference?: string): Promise<ChosenBackend> {
  const names = Object.keys(BACKENDS) as BackendName[];
  if (preference !== undefined) {
    const name = names.find((one) => one === preference);
    if (!name) throw new Error(`backend must be one of ${names.join(', ')}, but is ${show(preference)}`);
    try {
      return {backend: name, device: await start(name, true), reason: ''};
    } catch (error) {
      throw new Error(`backend ${name} cannot run here: ${(error as Error).message}`, {cause: error});
    }
  }
  const reasons: string[] = [];
  for (const backend of names) {
    try {
      return {backend, device: await start(backend, false), reason: reasons.join('; ')};
    } catch (error) {
      reasons.push(`no ${backend}: ${(error as Error).message}`);
    }
  }
  throw new Error(`no backend of tfjs can run here: ${reasons.join('; ')}`);
}
