import {cpus} from 'node:os';
import {show} from '../config.ts';
import {activate, importOptional} from './start.ts';
import {setUpTensorFlow} from './tensorflow_node.ts';
import {setUpWasm} from './wasm_node.ts';
import {setUpWebGPU} from './webgpu_node.ts';

export type BackendName = 'webgpu' | 'tensorflow' | 'wasm' | 'cpu';

/** The backend that tfjs now computes on. */
export interface ChosenBackend {
  backend: BackendName;
  /** What it runs on, for a person to read: the GPU's name or the processor's. */
  device: string;
  /** Why no faster one was taken; empty if there is none faster, or if it was asked for. */
  reason: string;
}

const processor = () => `${cpus().length} × ${cpus()[0]?.model.trim() ?? process.arch}`;

async function startCpu(): Promise<string> {
  const name = '@tensorflow/tfjs-backend-cpu';
  await importOptional('the cpu backend', [name], () => import(name));
  await activate('cpu');
  return `JavaScript on ${processor()}`;
}

/** The backends of Node, fastest first, each with what starts it and names its device. */
const STARTS: Record<BackendName, (asked: boolean) => Promise<string>> = {
  webgpu: async (asked) => {
    const {description, isSoftware} = await setUpWebGPU({allowSoftware: asked});
    return isSoftware ? `${description} (software)` : description;
  },
  tensorflow: async () => {
    const {version, onGPU, stockOps} = await setUpTensorFlow();
    const gpu = stockOps === undefined ? 'a CUDA GPU' : `a CUDA GPU (without our kernels: ${stockOps})`;
    return `TensorFlow ${version} on ${onGPU ? gpu : processor()}`;
  },
  wasm: async () => {
    const threads = await setUpWasm();
    return `WebAssembly on ${processor()}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  },
  cpu: startCpu,
};

/**
 * Starts the fastest backend there is and makes it the current one: webgpu on a real GPU, else tensorflow (tfjs-node-gpu
 * or tfjs-node), else wasm, else cpu. Their packages are imported as needed; those not installed are passed over.
 *
 * @param preference A backend to take instead. 'webgpu' then takes a software adapter too, if there is no real one.
 * @throws Error if there is no backend of that name, or if it does not start, saying why and what to install.
 */
export async function chooseBackend(preference?: string): Promise<ChosenBackend> {
  const names = Object.keys(STARTS) as BackendName[];
  if (preference !== undefined) {
    const backend = names.find((name) => name === preference);
    if (!backend) throw new Error(`backend must be one of ${names.join(', ')}, but is ${show(preference)}`);
    return {backend, device: await STARTS[backend](true), reason: ''};
  }
  const reasons: string[] = [];
  for (const backend of names) {
    try {
      return {backend, device: await STARTS[backend](false), reason: reasons.join('; ')};
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw new Error(`no backend of tfjs starts here: ${reasons.join('; ')}`);
}
