import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {factorize} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../backends.ts';
import {residual} from '../reference/columns.ts';
import {
  frobeniusNorm,
  identity,
  type Matrix,
  matMul,
  randomMatrix,
  scale,
  transpose,
  zeros,
} from '../reference/matrix.ts';
import {truncationError, withSpectrum} from '../reference/truncation.ts';
import {workOf} from './profile.ts';
import {matrixOf, tensorOf} from './tensors.ts';

async function factors(kernel: Matrix, rank: number, options?: Parameters<typeof factorize>[2]) {
  const {frozenA, frozenB} = factorize(tensorOf(kernel), rank, options);
  expect(frozenA.shape).to.deep.equal([kernel.rows, rank]);
  expect(frozenB.shape).to.deep.equal([rank, kernel.columns]);
  return {frozenA: await matrixOf(frozenA), frozenB: await matrixOf(frozenB)};
}

/** ‖W − A₀B₀‖_F. */
const errorOf = async (kernel: Matrix, rank: number, iterations?: number): Promise<number> =>
  frobeniusNorm(residual(kernel, await factors(kernel, rank, iterations === undefined ? {} : {iterations})));

describeBackends('factorize', (backend) => {
  const spectrum = (size: number, power: number) => Array.from({length: size}, (_, k) => (k + 1) ** -power);
  const kernels = (rows: number, columns: number): Record<string, () => Matrix> => {
    const size = Math.min(rows, columns);
    return {
      'a flat spectrum': () => withSpectrum(rows, columns, spectrum(size, 0), randomStream(1)),
      'a spectrum k^-1/2': () => withSpectrum(rows, columns, spectrum(size, 0.5), randomStream(2)),
      'a spectrum k^-1': () => withSpectrum(rows, columns, spectrum(size, 1), randomStream(3)),
      'normal entries': () => randomMatrix(rows, columns, randomStream(4), 0.02),
    };
  };

  for (const [name, make] of Object.entries(kernels(256, 192))) {
    it(`comes within 1 % of the best approximation of rank 16 of ${name}`, async () => {
      const kernel = make();
      expect(await errorOf(kernel, 16)).to.be.at.most(1.01 * truncationError(kernel, 16));
    });

    // four iterations part two neighbouring singular values only so far, which weighs more in a smaller rank
    it(`comes within 6 % of the best approximation of ranks 1 and 4 of ${name}`, async () => {
      const kernel = make();
      for (const rank of [1, 4]) {
        expect(await errorOf(kernel, rank)).to.be.at.most(1.06 * truncationError(kernel, rank));
      }
    });
  }

  it('comes within 1 % also where out > in, and whatever the scale of W', async () => {
    const wide = withSpectrum(150, 300, spectrum(150, 0.5), randomStream(5));
    for (const size of [1e-6, 1e6]) {
      const kernel = scale(wide, size);
      expect(await errorOf(kernel, 16)).to.be.at.most(1.01 * truncationError(kernel, 16));
    }
  });

  const steep: Record<string, number[]> = {
    'that fall by four orders of magnitude': Array.from({length: 64}, (_, k) => 10 ** (-k / 4)),
    'of which the first is ten thousand times the second': [1e4, ...spectrum(63, 0.5)],
    'of which four are not zero': [4, 3, 2, 1],
  };
  for (const [name, values] of Object.entries(steep)) {
    it(`comes within 5 % for singular values ${name}`, async () => {
      const kernel = withSpectrum(96, 64, values, randomStream(9));
      for (const rank of [16, 32, 64]) {
        // what float32 has no room for beside the largest one
        const rounding = 1e-5 * frobeniusNorm(kernel);
        expect(await errorOf(kernel, rank)).to.be.at.most(1.05 * truncationError(kernel, rank) + rounding);
      }
    });
  }

  it('comes closer with more iterations, 4 by default', async () => {
    const kernel = withSpectrum(40, 60, spectrum(40, 0.5), randomStream(8));
    const [one, four, eight] = await Promise.all([1, 4, 8].map((n) => errorOf(kernel, 16, n)));
    expect(one).to.be.above(four!);
    expect(four).to.be.above(eight!);
    expect(await errorOf(kernel, 16)).to.equal(four);
    expect(eight).to.be.at.least(truncationError(kernel, 16));
  });

  it('returns orthonormal columns, and B₀ = A₀ᵀW', async () => {
    for (const make of Object.values(kernels(96, 64))) {
      const kernel = make();
      const {frozenA, frozenB} = await factors(kernel, 16);
      await expectClose(tensorOf(matMul(transpose(frozenA), frozenA)), identity(16).data);
      await expectClose(tensorOf(frozenB), matMul(transpose(frozenA), kernel).data);
    }
  });

  it('is deterministic for a seed, and starts elsewhere with another', async () => {
    const kernel = randomMatrix(20, 30, randomStream(6));
    const first = await factors(kernel, 4, {seed: 3});
    expect(await factors(kernel, 4, {seed: 3})).to.deep.equal(first);
    expect(await factors(kernel, 4, {seed: 4})).not.to.deep.equal(first);
  });

  it('restores a kernel of low rank, and any at rank min(in, out)', async () => {
    const random = randomStream(7);
    const low = matMul(randomMatrix(30, 3, random), randomMatrix(3, 20, random));
    expect(await errorOf(low, 5)).to.be.below(1e-5 * frobeniusNorm(low));
    for (const [rows, columns] of [
      [6, 9],
      [9, 6],
      [1, 5],
      [5, 1],
      [1, 1],
    ] as const) {
      const kernel = randomMatrix(rows, columns, random);
      expect(await errorOf(kernel, Math.min(rows, columns))).to.be.below(2e-3 * frobeniusNorm(kernel));
    }
  });

  it('gives zeros for a kernel of zeros', async () => {
    const {frozenA, frozenB} = await factors(zeros(7, 5), 3);
    expect(new Set([...frozenA.data, ...frozenB.data])).to.deep.equal(new Set([0]));
  });

  it('takes a kernel of the size of a 7B model', async function () {
    if (backend !== 'wasm') this.skip();
    const kernel = tf.randomNormal([4096, 11008], 0, 0.02, 'float32', 1);
    const {frozenA, frozenB} = factorize(kernel, 16);
    await expectClose(tf.matMul(frozenA, frozenA, true, false), identity(16).data);
    expect(frozenB.shape).to.deep.equal([16, 11008]);
    tf.dispose([kernel, frozenA, frozenB]);
  });

  it('takes as many operations for every rank', async function () {
    if (backend === 'webgpu') this.skip(); // whose profiler reads each result
    const kernel = tf.randomNormal([40, 30], 0, 1, 'float32', 1);
    const [four, sixteen] = await Promise.all([4, 16].map((rank) => workOf(() => factorize(kernel, rank))));
    expect(sixteen).to.deep.equal(four);
    expect(four).to.include({InverseCholesky: 10});
    kernel.dispose();
  });

  it('keeps nothing but its result', async () => {
    const kernel = tf.ones([6, 4]);
    await expectNoLeaks(() => tf.dispose(factorize(kernel, 2)));
  });

  it('names the argument that does not fit, and its value', () => {
    const kernel = tf.ones([6, 4]);
    const wrongRank = (rank: number) => `factorize: rank must be an integer from 1 to 4, but is ${rank}`;
    for (const rank of [0, 5, 1.5, Number.NaN])
      expect(() => factorize(kernel, rank)).to.throw(wrongRank(rank));
    for (const iterations of [0, 2.5]) {
      const message = `factorize: iterations must be an integer ≥ 1, but is ${iterations}`;
      expect(() => factorize(kernel, 2, {iterations})).to.throw(message);
    }
    const message = 'factorize: kernel must be a float32 matrix [any, any], but is float32 of shape [4]';
    expect(() => factorize(tf.ones([4]), 2)).to.throw(message);
  });
});
