import {createRequire} from 'node:module';
import '@tensorflow/tfjs-layers'; // first: it registers tfjs's gradients
import '@tensorflow/tfjs-backend-cpu'; // both always, for the tests that go from backend to backend
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {registerWebGPUKernels} from '../src/kernels/webgpu/register.ts';
import {chooseBackend, setUpTensorFlow, setUpWebGPU} from '../src/node.ts';
import {offerSwiftShader} from './support/swiftshader.ts';

/**
 * The one of tfjs's four programs for products on WebGPU that suits software adapters: of the others two take a second
 * to compile and one, which reduces across threads, is a hundred times slower.
 */
const MATMUL_SMALL_OUTPUT_SIZE = 2;

/** The backends of tfjs that the package is for. */
const BACKENDS = ['cpu', 'wasm', 'webgpu', 'webgl', 'tensorflow'] as const;
export type Backend = (typeof BACKENDS)[number];

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
function absence(backend: Backend): string | undefined {
  if (!wanted().includes(backend)) return 'not in CELORA_BACKENDS';
  if (backend === 'webgl' && typeof document === 'undefined') return 'only in a browser';
  if (
    backend === 'tensorflow' &&
    !['tfjs-node-gpu', 'tfjs-node'].some((name) => isInstalled(`@tensorflow/${name}`))
  ) {
    return '@tensorflow/tfjs-node-gpu is not installed';
  }
  return undefined;
}

/**
 * Keeps tfjs's check for leaks away from its own tf.fused.matMul on backend tensorflow, whose Reshape copies: the product
 * that is saved for the gradient then is another buffer than the result, and counts as one left behind.
 */
function passOverFusedMatMul(): void {
  const engine = tf.engine() as unknown as {checkKernelForMemLeak(name: string, ...others: unknown[]): void};
  const {checkKernelForMemLeak} = engine;
  engine.checkKernelForMemLeak = function (name, ...others) {
    if (name !== 'fusedMatMul__op') checkKernelForMemLeak.call(this, name, ...others);
  };
}

const devices = new Map<Backend, Promise<string>>();

/** Makes a backend the current one, and says what it runs on. */
async function use(backend: Backend): Promise<string> {
  const start = async (): Promise<string> => {
    if (backend === 'webgpu') offerSwiftShader();
    const {device} = await chooseBackend(backend);
    if (backend === 'webgpu' && (await setUpWebGPU({allowSoftware: true})).isSoftware) {
      tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', MATMUL_SMALL_OUTPUT_SIZE);
    }
    if (backend === 'tensorflow') passOverFusedMatMul();
    return device;
  };
  if (!devices.has(backend)) devices.set(backend, start());
  const device = await devices.get(backend)!;
  await tf.setBackend(backend);
  return device;
}

/** The same, but a backend that does not start skips the tests: all but cpu and wasm, which run everywhere. */
async function useOrSkip(context: Mocha.Context, backend: Backend): Promise<string> {
  try {
    return await use(backend);
  } catch (error) {
    if (backend === 'cpu' || backend === 'wasm') throw error;
    context.test!.title += `: ${(error as Error).message}`;
    return context.skip();
  }
}

tf.env().set('IS_TEST', true); // tfjs then throws at a kernel that leaves a tensor behind

// said once, whichever test files are run, instead of once for every suite
describe('backends', () => {
  for (const backend of BACKENDS) {
    const why = absence(backend);
    if (why !== undefined) it.skip(`${backend}: ${why}`);
    else {
      it(backend, async function () {
        this.test!.title += `: ${await useOrSkip(this, backend)}`;
        expect(tf.getBackend()).to.equal(backend);
        expect(await tf.tidy(() => tf.add([1, 2], [3, 4])).array()).to.deep.equal([4, 6]);
      });
    }
  }
});

/**
 * One suite for every backend that is there. The tests of `body` run with it as the current one, each in a scope of its
 * own: the tensors that a test leaves behind are freed after it. Results are to be read with `await t.data()`, because
 * WebGPU in Node cannot read synchronously.
 */
export function describeBackends(title: string, body: (backend: Backend) => void): void {
  for (const backend of BACKENDS) describeBackend(`${title} [${backend}]`, backend, body);
}

/** One suite with our shaders on webgpu. */
export function describeShaders(title: string, body: (backend: Backend) => void): void {
  describeBackend(`${title} [webgpu, our shaders]`, 'webgpu', body, true);
}

/** One suite with our own ops on tensorflow. */
export function describeOwnOps(title: string, body: (backend: Backend) => void): void {
  describeBackend(`${title} [tensorflow, our ops]`, 'tensorflow', body, true);
}

/** One suite with our shaders on webgpu, and one with our own ops on tensorflow. */
export function describeOwn(title: string, body: (backend: Backend) => void): void {
  describeShaders(title, body);
  describeOwnOps(title, body);
}

/**
 * As `describeBackends`, but twice on webgpu and on tensorflow: with our kernels of stock programs, and with our shaders
 * and our ops.
 */
export function describeWithShaders(title: string, body: (backend: Backend) => void): void {
  for (const backend of BACKENDS) describeBackend(`${title} [${backend}]`, backend, body, false);
  describeOwn(title, body);
}

/** Whether our kernels on a backend are more than its stock ones composed; by default, only on a GPU. */
const FLAGS: Partial<Record<Backend, string>> = {
  webgpu: 'CELORA_WEBGPU_SHADERS',
  tensorflow: 'CELORA_TENSORFLOW_OPS',
};

/** Registers our own kernels of a backend, so that its flag is there. */
async function registerOwn(backend: Backend): Promise<void> {
  if (backend === 'webgpu') return registerWebGPUKernels();
  const {stockOps} = await setUpTensorFlow();
  if (stockOps !== undefined) throw new Error(`there are no ops of ours: ${stockOps}`);
}

function describeBackend(
  title: string,
  backend: Backend,
  body: (backend: Backend) => void,
  own?: boolean,
): void {
  if (absence(backend) !== undefined) return;
  describe(title, () => {
    const flag = FLAGS[backend];
    let usual: boolean | undefined;
    before(async function () {
      await useOrSkip(this, backend);
      if (own === undefined || flag === undefined) return;
      await registerOwn(backend);
      usual = tf.env().getBool(flag);
      tf.env().set(flag, own);
    });
    after(() => {
      if (usual !== undefined) tf.env().set(flag!, usual);
    });
    beforeEach(() => tf.engine().startScope());
    afterEach(() => tf.engine().endScope());
    body(backend);
  });
}

/**
 * Asserts that every value of `actual` is within `tolerance` times the largest magnitude of `expected` (times 1 if that
 * is zero) of the expected one. Not a number is close to nothing.
 */
export async function expectClose(
  actual: tf.Tensor,
  expected: ArrayLike<number>,
  tolerance = 1e-4,
): Promise<void> {
  const values = await actual.data();
  expect(values.length, 'number of values').to.equal(expected.length);
  const want = Array.from(expected);
  const scale = want.reduce((max, value) => Math.max(max, Math.abs(value)), 0) || 1;
  const errors = want.map((value, i) => Math.abs(values[i]! - value) / scale);
  const wrong = errors.flatMap((error, i) => (error <= tolerance ? [] : [i]));
  if (wrong.length === 0) return;
  const worst = wrong.reduce((a, b) => (errors[b]! <= errors[a]! ? a : b));
  const [first] = wrong as [number];
  const at = (i: number) => `[${i}] is ${values[i]}, not ${want[i]}`;
  const count = `${wrong.length} of ${want.length} values of [${actual.shape}]`;
  expect.fail(
    `${count} differ by more than ${tolerance} of ${scale}: first ${at(first)}; worst ${at(worst)}`,
  );
}

/** Asserts that `body` leaves as many tensors and buffers as it found. */
export async function expectNoLeaks(body: () => unknown): Promise<void> {
  const before = tf.memory();
  await body();
  const after = tf.memory();
  expect(after.numTensors - before.numTensors, 'tensors left behind').to.equal(0);
  expect(after.numDataBuffers - before.numDataBuffers, 'buffers left behind').to.equal(0);
}
