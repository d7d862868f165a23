import {cpus} from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import {activate, importOptional, isMissing} from './start.ts';
import {setUpWasm} from './wasm_node.ts';
import {setUpWebGPU} from './webgpu_node.ts';

/** The backend that tfjs now computes on. */
export interface ChosenBackend {
  /** tfjs's name of it. */
  backend: 'webgpu' | 'tensorflow' | 'wasm' | 'cpu';
  /** What it computes with, for people: the GPU's name or the processor's. */
  device: string;
  /** Why none of the faster ones was taken; empty for the first choice and for one asked for. */
  reason: string;
}

const processor = () => cpus()[0]?.model.trim() ?? process.arch;

async function startTensorFlow(): Promise<string> {
  const [gpu, cpu] = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];
  if (tf.findBackendFactory('tensorflow') == null) {
    await importOptional('TensorFlow for Node', [gpu], () =>
      import(gpu).catch((why) =>
        import(cpu).catch((alsoWhy) => {
          throw isMissing(alsoWhy) ? why : alsoWhy;
        }),
      ),
    );
  }
  await activate('tensorflow');
  const {isUsingGpuDevice} = tf.backend() as tf.KernelBackend & {isUsingGpuDevice?: boolean};
  return isUsingGpuDevice ? 'GPU (CUDA)' : processor();
}

async function startCpu(): Promise<string> {
  const name = '@tensorflow/tfjs-backend-cpu';
  await importOptional('the cpu backend', [name], () => import(name));
  await activate('cpu');
  return `${processor()}, plain JavaScript`;
}

/** The backends of Node, fastest first, each with what starts it and names its device. */
const STARTS: Record<ChosenBackend['backend'], (asked: boolean) => Promise<string>> = {
  webgpu: async (asked) => {
    const {description, isSoftware} = await setUpWebGPU({allowSoftware: asked});
    return isSoftware ? `${description} (software)` : description;
  },
  tensorflow: startTensorFlow,
  wasm: async () => {
    const threads = await setUpWasm();
    return `${processor()}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  },
  cpu: startCpu,
};

/**
 * Starts a tfjs backend in Node and makes it the current one: `preference`, or else the first that works of webgpu (on
 * a real GPU, never on a software adapter), tensorflow (tfjs-node-gpu or tfjs-node), wasm and cpu.
 *
 * @param preference 'webgpu', 'tensorflow', 'wasm' or 'cpu'. Asked for by name, webgpu also takes a software adapter.
 * @throws Error if the preferred backend is unknown or does not start, with the reason and the package to install.
 */
export async function chooseBackend(preference?: string): Promise<ChosenBackend> {
  if (preference !== undefined && !Object.hasOwn(STARTS, preference)) {
    throw new Error(`backend must be one of ${Object.keys(STARTS).join(', ')}, not '${preference}'`);
  }
  const names = (preference === undefined ? Object.keys(STARTS) : [preference]) as ChosenBackend['backend'][];
  const failures: string[] = [];
  for (const backend of names) {
    try {
      const device = await STARTS[backend](preference !== undefined);
      return {backend, device, reason: failures.join('; ')};
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  throw new Error(failures.join('; '));
}
