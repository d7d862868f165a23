import {spawnSync} from 'node:child_process';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {describeBackends, expectClose, expectNoLeaks} from '../backends.ts';

/** The message with which `body` fails. */
async function failure(body: () => Promise<unknown>): Promise<string> {
  try {
    await body();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it did not fail');
}

describeBackends('the tests of a backend', (backend) => {
  let left: tf.Tensor;

  it('run on it', async () => {
    expect(tf.getBackend()).to.equal(backend);
    left = tf.matMul(tf.ones([3, 4]), tf.fill([4, 2], 2));
    await expectClose(left, [8, 8, 8, 8, 8, 8]);
  });

  it('do not leave their tensors to the next one', () => {
    expect(left.isDisposed).to.equal(true);
  });

  it('fail at a kernel that leaves a tensor behind', () => {
    const kernelName = 'Leaky';
    const kernelFunc = () => {
      tf.zeros([2]);
      return tf.ones([2]);
    };
    tf.registerKernel({kernelName, backendName: backend, kernelFunc});
    try {
      expect(() => tf.engine().runKernel(kernelName, {})).to.throw('memory leak');
    } finally {
      tf.unregisterKernel(kernelName, backend);
    }
  });

  it('fail at tensors and at buffers left behind', async () => {
    await expectNoLeaks(() => tf.tidy(() => void tf.ones([2])));
    expect(await failure(() => expectNoLeaks(() => tf.ones([2])))).to.match(/^tensors left behind/);
    const x = tf.ones([2]);
    // not tf.reshape, which copies on backend tensorflow
    const sameBuffer = () => {
      tf.backend().incRef(x.dataId);
      return tf.engine().makeTensorFromTensorInfo(x);
    };
    expect(await failure(() => expectNoLeaks(sameBuffer))).to.match(/^tensors left behind/);
    expect(
      await failure(() =>
        expectNoLeaks(() => {
          const y = tf.tensor1d([1]); // another tensor of the same buffer goes, and this one's buffer stays
          x.dispose();
          return y;
        }),
      ),
    ).to.match(/^buffers left behind/);
  });

  it('fail at values that are off, missing or no numbers', async () => {
    const x = tf.tensor1d([1, -200, 0]);
    await expectClose(x, [1.01, -200, 0.01]);
    expect(await failure(() => expectClose(x, [1.1, -200, 0.03]))).to.equal(
      '2 of 3 values of [3] differ by more than 0.0001 of 200: first [0] is 1, not 1.1; worst [0] is 1, not 1.1',
    );
    expect(await failure(() => expectClose(x, [1, -200]))).to.match(/^number of values/);
    expect(await failure(() => expectClose(tf.tensor1d([Number.NaN]), [1]))).to.match(/\[0\] is NaN, not 1$/);
  });
});

describe('CELORA_BACKENDS', () => {
  const mocha = (names: string) =>
    spawnSync(
      process.execPath,
      ['node_modules/mocha/bin/mocha.js', '--reporter', 'json', 'test/ops/product_test.ts'],
      {encoding: 'utf8', env: {...process.env, CELORA_BACKENDS: names}},
    );

  it('limits the tests to some backends, and the others show as skipped', () => {
    const {status, stdout} = mocha('cpu');
    expect(status).to.equal(0);
    const {pending, passes} = JSON.parse(stdout) as Record<'pending' | 'passes', {fullTitle: string}[]>;
    const titles = pending.map(({fullTitle}) => fullTitle);
    for (const name of ['wasm', 'webgpu', 'webgl', 'tensorflow']) {
      expect(titles).to.include(`backends ${name}: not in CELORA_BACKENDS`);
    }
    expect(passes.some(({fullTitle}) => fullTitle.includes('[cpu]'))).to.equal(true);
    expect(passes.some(({fullTitle}) => fullTitle.includes('[wasm]'))).to.equal(false);
  });

  it('must name known ones', () => {
    const {status, stderr} = mocha('cpu,cuda');
    expect(status).to.not.equal(0);
    expect(stderr).to.include(
      "CELORA_BACKENDS must be some of cpu, wasm, webgpu, webgl, tensorflow, but has 'cuda'",
    );
  });
});
