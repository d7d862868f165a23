import '@tensorflow/tfjs-layers'; // first: it registers tfjs's gradients
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {chooseBackend} from '../src/node.ts';
import {offerSwiftShader} from './support/swiftshader.ts';

/** The backends of tfjs that the package is for. */
const BACKENDS = ['cpu', 'wasm', 'webgpu', 'webgl', 'tensorflow'] as const;
export type Backend = (typeof BACKENDS)[number];

/** Starts a backend and says what it runs on; fails with the reason if it is not there. */
const start: Record<Backend, () => Promise<string>> = {
  cpu: async () => (await chooseBackend('cpu')).device,
  wasm: async () => (await chooseBackend('wasm')).device,
  webgpu: async () => {
    offerSwiftShader();
    return (await chooseBackend('webgpu')).device;
  },
  webgl: async () => {
    throw new Error('only in a browser');
  },
  tensorflow: async () => (await chooseBackend('tensorflow')).device,
};

/** CELORA_BACKENDS=cpu,wasm limits the tests to these. */
function asked(): readonly Backend[] {
  const names = process.env.CELORA_BACKENDS?.split(',') ?? BACKENDS;
  const unknown = names.find((name) => !BACKENDS.some((backend) => backend === name));
  if (unknown !== undefined) {
    throw new Error(`CELORA_BACKENDS must be some of ${BACKENDS.join(', ')}, but has '${unknown}'`);
  }
  return names as Backend[];
}

tf.env().set('IS_TEST', true); // tfjs then throws at a kernel that leaves a tensor behind
const present: Backend[] = [];
const report: {backend: Backend; title: string; there: boolean}[] = [];
for (const backend of BACKENDS) {
  try {
    if (!asked().includes(backend)) throw new Error('not in CELORA_BACKENDS');
    report.push({backend, title: `${backend}: ${await start[backend]()}`, there: true});
    present.push(backend);
  } catch (error) {
    report.push({backend, title: `no ${backend}: ${(error as Error).message}`, there: false});
  }
}

// said once, whichever test files are run, instead of once for every suite
describe('backends', () => {
  for (const {backend, title, there} of report) {
    const test = async () => {
      await tf.setBackend(backend);
      expect(await tf.tidy(() => tf.add([1, 2], [3, 4])).array()).to.deep.equal([4, 6]);
    };
    if (there) it(title, test);
    else it.skip(title);
  }
  it('cpu and wasm are always there', () => {
    expect(present).to.include.members(asked().filter((backend) => backend === 'cpu' || backend === 'wasm'));
  });
});

/**
 * One suite for every backend that is there. The tests of `body` run with it as the current one, each in a scope of its
 * own: the tensors that a test leaves behind are freed after it. Results are to be read with `await t.data()`, because
 * WebGPU in Node cannot read synchronously.
 */
export function describeBackends(title: string, body: (backend: Backend) => void): void {
  for (const backend of present) {
    describe(`${title} [${backend}]`, () => {
      before(() => tf.setBackend(backend));
      beforeEach(() => tf.engine().startScope());
      afterEach(() => tf.engine().endScope());
      body(backend);
    });
  }
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
