import {expect} from 'chai';
import {InverseCholesky} from '../../src/kernels/kernel_names.ts';
import {runKernel} from '../../src/kernels/register.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose} from '../backends.ts';
import {
  at,
  frobeniusNorm,
  identity,
  type Matrix,
  matMul,
  matrix,
  randomMatrix,
  transpose,
  zeros,
} from '../reference/matrix.ts';
import {matrixOf, tensorOf} from './tensors.ts';

/** XᵀX, rounded to float32. */
function gramOf(x: Matrix): Matrix {
  const exact = matMul(transpose(x), x);
  return matrix(exact.rows, exact.columns, (i, j) => Math.fround(at(exact, i, j)));
}

/** L⁻¹, which is told from every other matrix with L⁻¹GL⁻ᵀ = 1 by being lower triangular with a diagonal ≥ 0. */
async function inverseOf(gram: Matrix): Promise<Matrix> {
  const inverse = await matrixOf(runKernel(InverseCholesky, {gram: tensorOf(gram)}));
  expect([inverse.rows, inverse.columns]).to.deep.equal([gram.rows, gram.rows]);
  for (let i = 0; i < gram.rows; i++) {
    expect(at(inverse, i, i), `${i}`).to.be.at.least(0);
    for (let j = i + 1; j < gram.rows; j++) expect(at(inverse, i, j), `${i}, ${j}`).to.equal(0);
  }
  return inverse;
}

const whitened = (gram: Matrix, inverse: Matrix): Matrix => matMul(matMul(inverse, gram), transpose(inverse));

describeWithShaders('InverseCholesky', () => {
  for (const size of [1, 2, 5, 16, 63, 64, 65, 123]) {
    it(`makes the identity of a Gram matrix [${size}, ${size}]`, async () => {
      const gram = gramOf(randomMatrix(4 * size, size, randomStream(size)));
      await expectClose(tensorOf(whitened(gram, await inverseOf(gram))), identity(size).data);
    });
  }

  it('does so whatever the scale', async () => {
    const x = randomMatrix(20, 6, randomStream(1));
    for (const scale of [1e-6, 1e6]) {
      const gram = gramOf(matrix(20, 6, (i, j) => at(x, i, j) * scale));
      await expectClose(tensorOf(whitened(gram, await inverseOf(gram))), identity(6).data);
    }
  });

  it('has a row of zeros for a column of zeros, and makes a dependent one no longer than 1', async () => {
    const free = randomMatrix(30, 4, randomStream(2));
    // columns 2 and 3 are made of the others, 5 is zero
    const x = matrix(30, 6, (i, j) => {
      if (j === 2) return 2 * at(free, i, 0);
      if (j === 3) return at(free, i, 0) - 3 * at(free, i, 1);
      return j === 5 ? 0 : at(free, i, j === 4 ? 2 : j);
    });
    const gram = gramOf(x);
    const inverse = await inverseOf(gram);
    for (let j = 0; j < 6; j++) expect(at(inverse, 5, j)).to.equal(0);
    const white = whitened(gram, inverse);
    for (const i of [0, 1, 4]) expect(at(white, i, i)).to.be.closeTo(1, 1e-3);
    for (const i of [2, 3, 5]) expect(at(white, i, i)).to.be.within(-0.5, 1.001);
  });

  it('leaves a column its direction of which a ten-thousandth is its own', async () => {
    const q = randomMatrix(50, 2, randomStream(3));
    const x = matrix(50, 2, (i, j) => Math.fround(at(q, i, 0) + (j === 1 ? 1e-4 * at(q, i, 1) : 0)));
    const inverse = await inverseOf(gramOf(x));
    const made = matMul(x, transpose(inverse));
    const [first, second] = [0, 1].map((j) => matrix(50, 1, (i) => at(made, i, j))) as [Matrix, Matrix];
    expect(frobeniusNorm(first)).to.be.closeTo(1, 1e-5);
    expect(frobeniusNorm(second)).to.be.within(0.01, 1);
  });

  it('gives zeros for zeros', async () => {
    expect([...(await inverseOf(zeros(3, 3))).data]).to.deep.equal(new Array(9).fill(0));
  });
});
