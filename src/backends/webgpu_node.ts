import {existsSync} from 'node:fs';
import {requireBoolean, show} from '../config.ts';
import {installPatientPolling} from './patient_polling.ts';
import {activate, importOptional} from './start.ts';
import {
  isStarted,
  NO_ADAPTER,
  openDevice,
  refuseSoftware,
  resolveOptions,
  type WebGPUAdapter,
  type WebGPUOptions,
} from './webgpu_adapter.ts';

const OWNER = 'setUpWebGPU';

export interface NodeWebGPUOptions extends WebGPUOptions {
  /**
   * Whether Dawn adds checks to every shader that keep it within its buffers, as a browser must; without them products are
   * some percent faster, and a shader with a fault reads and writes what is not its own. Default true.
   */
  robustness?: boolean;
}

/** Timestamps in multiples of 65.5 µs, as browsers have them against spying pages, would say little of a kernel in tf.time. */
const DAWN_FLAGS = ['disable-dawn-features=timestamp_quantization'];

let inUse: WebGPUAdapter | undefined;

/** What a GPU shows as on Linux: of a desktop's driver, NVIDIA's own, Windows' subsystem, two families of phones. */
const GPU_NODES = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg', '/dev/kgsl-3d0', '/dev/mali0'];
/** Variables by which a user names Vulkan's drivers. */
const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ADD_DRIVER_FILES', 'VK_ICD_FILENAMES'];

/** Dawn complains on stderr where there is no driver, in two lines that look like a crash. */
const cannotHaveGPU = (): boolean =>
  process.platform === 'linux' &&
  !GPU_NODES.some((path) => existsSync(path)) &&
  !DRIVER_VARIABLES.some((name) => process.env[name]);

async function start(options: Required<NodeWebGPUOptions>): Promise<WebGPUAdapter> {
  const [dawn, {startOn}] = await importOptional(
    'WebGPU in Node',
    ['webgpu', '@tensorflow/tfjs-backend-webgpu'],
    () => Promise.all([import('webgpu'), import('./webgpu.ts')]),
  );
  if (!options.allowSoftware && cannotHaveGPU()) throw new Error(NO_ADAPTER);
  const unchecked = options.robustness ? [] : ['enable-dawn-features=disable_robustness'];
  const gpu = dawn.create([...DAWN_FLAGS, ...unchecked]);
  installPatientPolling();
  const open = await openDevice(OWNER, gpu, options);
  Object.assign(globalThis, dawn.globals);
  globalThis.navigator ??= {} as Navigator; // Node 20 has none
  Object.defineProperty(globalThis.navigator, 'gpu', {value: gpu, configurable: true});
  await startOn(open);
  return open.adapter;
}

/**
 * Makes tfjs's backend 'webgpu' work in Node and makes it the current one. WebGPU is Dawn's (npm package `webgpu`);
 * its classes and `navigator.gpu` become globals, and the global `setImmediate` one that Dawn asks the device less often by
 * (patient_polling.ts). Whether '@tensorflow/tfjs-backend-webgpu' was imported before does not matter. A second call finds
 * the backend of the first, until that is removed (`tf.removeBackend`).
 *
 * @returns The adapter that the backend runs on.
 * @throws Error if one of the two packages is missing, if there is no adapter that may be used or it lacks one of
 *   `features`, or if the backend has started in another way.
 */
export async function setUpWebGPU(options: NodeWebGPUOptions = {}): Promise<WebGPUAdapter> {
  const resolved = resolveOptions(OWNER, options, ['robustness']);
  const robustness = requireBoolean(OWNER, 'robustness', options.robustness ?? true);
  if (inUse === undefined || !isStarted('webgpu')) inUse = await start({...resolved, robustness});
  refuseSoftware(inUse, resolved.allowSoftware);
  const absent = resolved.features.find((feature) => !inUse!.features.includes(feature));
  if (absent !== undefined) {
    throw new Error(`${OWNER}: features has ${show(absent)}, but the backend has started without it`);
  }
  await activate('webgpu');
  return inUse;
}
