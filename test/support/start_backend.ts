import {createRequire} from 'node:module';
import {registerWebGPUKernels} from '../../src/kernels/webgpu/register.ts';
import {chooseBackend, setUpTensorFlow, setUpWebGPU} from '../../src/node.ts';
import {BACKENDS, type Backend, suitSoftwareAdapter} from './backend_names.ts';
import {offerSwiftShader} from './swiftshader.ts';

/** CELORA_BACKENDS=cpu,wasm limits the tests to these. */
function wanted(): readonly Backend[] {
  const names = process.env.CELORA_BACKENDS?.split(',') ?? BACKENDS;
  const unknown = names.find((name) => !BACKENDS.some((backend) => backend === name));
  if (unknown !== undefined) {
    throw new Error(`CELORA_BACKENDS must be some of ${BACKENDS.join(', ')}, but has '${unknown}'`);
  }
  return names as Backend[];
}

const isInstalled = (name: string): boolean => {
  try {
    return Boolean(createRequire(import.meta.url).resolve(name));
  } catch {
    return false;
  }
};

/** Why there can be no tests on a backend here; undefined if it is worth starting. */
export function absence(backend: Backend): string | undefined {
  if (!wanted().includes(backend)) return 'not in CELORA_BACKENDS';
  if (backend === 'webgl') return 'only in a browser';
  if (
    backend === 'tensorflow' &&
    !['tfjs-node-gpu', 'tfjs-node'].some((name) => isInstalled(`@tensorflow/${name}`))
  ) {
    return '@tensorflow/tfjs-node-gpu is not installed';
  }
  return undefined;
}

/** Starts a backend, and says what it runs on. */
export async function start(backend: Backend): Promise<string> {
  if (backend === 'webgpu') offerSwiftShader();
  const {device} = await chooseBackend(backend);
  if (backend === 'webgpu' && (await setUpWebGPU({allowSoftware: true})).isSoftware) suitSoftwareAdapter();
  return device;
}

/** Registers our own kernels of a backend, so that its flag is there. */
export async function registerOwn(backend: Backend): Promise<void> {
  if (backend === 'webgpu') return registerWebGPUKernels();
  const {stockOps} = await setUpTensorFlow();
  if (stockOps !== undefined) throw new Error(`there are no ops of ours: ${stockOps}`);
}
