import '@tensorflow/tfjs-layers'; // first: it registers tfjs's gradients
import '@tensorflow/tfjs-backend-cpu'; // both always, for the tests that go from backend to backend
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {BREAK_EVEN_FLAG} from '../src/kernels/break_even.ts';
import {BACKENDS, type Backend} from './support/backend_names.ts';
import {absence, registerOwn, start} from './support/start_backend.ts';

export type {Backend};

const devices = new Map<Backend, Promise<string>>();

/** Makes a backend the current one, and says what it runs on. */
async function use(backend: Backend): Promise<string> {
  if (!devices.has(backend)) devices.set(backend, start(backend));
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

// the tests' products are small
tf.env().set(BREAK_EVEN_FLAG, 0);

/** CELORA_OWN=true: suites that do not say it have our own kernels too, where they are not the default. */
const OWN: boolean | undefined = process.env.CELORA_OWN === 'true' || undefined;

function describeBackend(title: string, backend: Backend, body: (backend: Backend) => void, own = OWN): void {
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
