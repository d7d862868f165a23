import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {installFastMatMul} from '../../../src/index.ts';
import {randomStream} from '../../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../../backends.ts';
import {type Matrix, matMul, randomMatrix, transpose} from '../../reference/matrix.ts';
import {tuningOfTests} from './set_tuning.ts';

const LEAST_WORK = 'CELORA_FAST_MATMUL_LEAST_WORK';
const OURS = /FastMatMul/;

const numbers = (rows: number, columns: number, seed: number) =>
  randomMatrix(rows, columns, randomStream(seed));
const tensorOf = ({rows, columns, data}: Matrix) => tf.tensor2d(Float32Array.from(data), [rows, columns]);

/** What the GPU ran for f, by the names of the programs. */
async function programsOf(f: () => tf.Tensor): Promise<string> {
  const info = await tf.time(() => f().dispose());
  return (info as unknown as {getExtraProfileInfo: () => string}).getExtraProfileInfo();
}

describeWithShaders('installFastMatMul', (backend) => {
  if (backend !== 'webgpu') {
    before(() => import('@tensorflow/tfjs-backend-webgpu')); // it needs what that registers
    it('changes nothing here', () => {
      const stock = tf.getKernel(tf.BatchMatMul, backend);
      const fast = installFastMatMul();
      expect(tf.getKernel(tf.BatchMatMul, backend)).to.equal(stock);
      fast.dispose();
    });
    return;
  }

  const set = tuningOfTests();
  let usual: number;
  let stock: tf.KernelConfig;
  let installation: ReturnType<typeof installFastMatMul>;
  beforeEach(() => {
    stock = tf.getKernel(tf.BatchMatMul, backend);
    installation = installFastMatMul();
    usual = tf.env().getNumber(LEAST_WORK);
    tf.env().set(LEAST_WORK, 0);
  });
  afterEach(() => {
    tf.env().set(LEAST_WORK, usual);
    installation.dispose();
    expect(tf.getKernel(tf.BatchMatMul, backend)).to.equal(stock);
  });
  const ours = () => tf.env().getBool('CELORA_WEBGPU_SHADERS');

  async function expectProducts(m: number, depth: number, n: number): Promise<void> {
    const [a, b] = [numbers(m, depth, 1), numbers(depth, n, 2)];
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const left = tensorOf(transposeA ? transpose(a) : a);
        const right = tensorOf(transposeB ? transpose(b) : b);
        await expectClose(tf.matMul(left, right, transposeA, transposeB), matMul(a, b).data, 1e-5);
      }
    }
  }

  for (const [m, depth, n] of [
    [70, 64, 68],
    [5, 123, 123],
    [1, 1, 1],
    [66, 3, 1],
  ] as const) {
    it(`equals the formula, transposed or not: ${m}×${depth}×${n}`, () => expectProducts(m, depth, n));
  }

  it('equals the formula, transposed or not, in the form for many tiles', async () => {
    set({CELORA_LEAST_TILES: 1});
    await expectProducts(132, 48, 68);
    await expectProducts(67, 21, 65);
  });

  it('equals the formulas of a batch', async () => {
    const members = [3, 4, 5].map((seed) => [numbers(6, 20, seed), numbers(20, 8, 9 * seed)] as const);
    const stack = (at: 0 | 1) => tf.stack(members.map((pair) => tensorOf(pair[at]))) as tf.Tensor3D;
    const expected = members.flatMap(([a, b]) => Array.from(matMul(a, b).data));
    const y = tf.matMul(tf.reshape(stack(0), [3, 1, 6, 20]), tf.reshape(stack(1), [3, 1, 20, 8]));
    expect(y.shape).to.deep.equal([3, 1, 6, 8]);
    await expectClose(y, expected, 1e-5);
  });

  it('serves tf.fused.matMul with a bias and relu', async () => {
    const [a, b] = [numbers(9, 16, 1), numbers(16, 12, 2)];
    const bias = numbers(1, 12, 3);
    const expected = matMul(a, b).data.map((value, i) => Math.max(0, value + bias.data[i % 12]!));
    const fused = () =>
      tf.fused.matMul({
        a: tensorOf(a),
        b: tensorOf(b),
        bias: tf.tensor1d(Float32Array.from(bias.data)),
        activation: 'relu',
      });
    await expectClose(fused(), Array.from(expected), 1e-5);
    expect(OURS.test(await programsOf(fused))).to.equal(ours());
  });

  it('leaves to stock tfjs what is small, has another activation, or a batch to broadcast', async () => {
    const a = tf.ones([2, 4, 8]) as tf.Tensor3D;
    const b = tf.ones([1, 8, 4]) as tf.Tensor3D;
    const [a2, b2] = [tf.reshape(a, [8, 8]) as tf.Tensor2D, tf.reshape(b, [8, 4]) as tf.Tensor2D];
    expect(await programsOf(() => tf.matMul(a, b))).to.not.match(OURS);
    expect(await programsOf(() => tf.fused.matMul({a: a2, b: b2, activation: 'sigmoid'}))).to.not.match(OURS);
    expect(OURS.test(await programsOf(() => tf.matMul(a2, b2)))).to.equal(ours());
    tf.env().set(LEAST_WORK, 8 * 8 * 4 + 1);
    expect(await programsOf(() => tf.matMul(a2, b2))).to.not.match(OURS);
  });

  it('leaves no tensor behind', () =>
    expectNoLeaks(async () => {
      const [a, b] = [tf.ones([4, 8]) as tf.Tensor2D, tf.ones([8, 4]) as tf.Tensor2D];
      const y = tf.matMul(a, b);
      await y.data();
      tf.dispose([a, b, y]);
    }));

  it('may be installed twice, and restores with the last', () => {
    const installed = tf.getKernel(tf.BatchMatMul, backend);
    expect(installed).to.not.equal(stock);
    installFastMatMul().dispose();
    expect(tf.getKernel(tf.BatchMatMul, backend)).to.equal(installed);
  });
});
