import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {sampleRows} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders} from '../backends.ts';
import {add, at, type Matrix, matrix, randomMatrix, scale, zeros} from '../reference/matrix.ts';
import {drawnRows, inclusionProbabilities, sampledRows, withZeroRows} from '../reference/rows.ts';
import {tensorOf} from './tensors.ts';

interface Sample {
  indices: number[];
  weights: number[];
}

async function sample(dy: Matrix, m: number, offset: number): Promise<Sample> {
  const {indices, weights} = sampleRows(tensorOf(dy), m, offset);
  expect([indices.dtype, indices.shape, weights.shape]).to.deep.equal(['int32', [m], [m]]);
  return {indices: Array.from(await indices.data()), weights: Array.from(await weights.data())};
}

/** The samples of an even grid of `count` offsets in [0, 1). */
const samples = (dy: Matrix, m: number, count: number): Promise<Sample[]> =>
  Promise.all(Array.from({length: count}, (_, i) => sample(dy, m, (i + 0.5) / count)));

/** Random rows whose norms differ widely: the largest is certain to be drawn. */
const spreadRows = (rows: number, columns: number, seed: number): Matrix => {
  const normal = randomMatrix(rows, columns, randomStream(seed));
  return matrix(rows, columns, (i, j) => Math.fround(at(normal, i, j) * (1 + (i % 5) ** 2)));
};

describeWithShaders('sampleRows', (backend) => {
  const offsets = backend === 'webgpu' ? 32 : 256;

  it('is unbiased: the mean over all offsets is dy', async () => {
    for (const [dy, m] of [
      [spreadRows(11, 3, 1), 5],
      [withZeroRows(spreadRows(9, 4, 2), (row) => row % 3 === 0), 3],
    ] as const) {
      const estimates = (await samples(dy, m, offsets)).map((s) => sampledRows(dy, s.indices, s.weights));
      const mean = scale(add(zeros(dy.rows, dy.columns), ...estimates), 1 / offsets);
      const probabilities = inclusionProbabilities(dy, m);
      for (let i = 0; i < dy.rows; i++) {
        // a row's offsets are one interval of length p (modulo 1), which a grid measures within 1 / offsets
        const tolerance = probabilities[i]! > 0 ? 1.001 / (offsets * probabilities[i]!) : 0;
        for (let j = 0; j < dy.columns; j++) {
          expect(at(mean, i, j)).to.be.closeTo(at(dy, i, j), tolerance * Math.abs(at(dy, i, j)) + 1e-4);
        }
      }
    }
  });

  it('draws every row with the probability min(1, c‖row‖), Σ = m, at most once', async () => {
    const dy = spreadRows(12, 3, 3);
    const probabilities = inclusionProbabilities(dy, 6);
    expect(probabilities.filter((p) => p === 1)).not.to.have.length(0);
    for (const {indices, weights} of await samples(dy, 6, 8)) {
      expect(new Set(indices).size).to.equal(6);
      expect(indices).to.deep.equal(indices.toSorted((a, b) => a - b));
      for (const [n, weight] of weights.entries()) {
        expect(weight).to.be.closeTo(1 / probabilities[indices[n]!]!, 1e-3 * weight);
        expect(weight).to.be.at.least(1);
      }
    }
  });

  it('takes rows that are certain each time, with weight 1', async () => {
    const dy = matrix(7, 2, (i) => (i === 2 || i === 5 ? 1000 : 1));
    for (const {indices, weights} of await samples(dy, 4, 8)) {
      for (const row of [2, 5]) expect(weights[indices.indexOf(row)]).to.equal(1);
    }
  });

  it('never gives a zero row a weight, also among many rows', async () => {
    const isZero = (row: number) => row % 7 < 3;
    const dy = withZeroRows(spreadRows(154, 2, 4), isZero);
    for (const m of [30, 75, 100]) {
      for (const {indices, weights} of await samples(dy, m, 8)) {
        for (const [n, weight] of weights.entries()) {
          expect(Number.isFinite(weight)).to.equal(true);
          if (isZero(indices[n]!)) expect(weight).to.equal(0);
        }
        // 88 rows are not zero; rounding may leave the last place empty
        expect(weights.filter((weight) => weight > 0)).to.have.length.within(Math.min(m, 88) - 1, m);
      }
    }
  });

  it('gives weights 0 for a zero dy', async () => {
    const {indices, weights} = await sample(zeros(5, 3), 3, 0.7);
    expect(weights).to.deep.equal([0, 0, 0]);
    expect(indices.every((row) => row >= 0 && row < 5)).to.equal(true);
  });

  it('takes every size from 1 to N, and one row alone', async () => {
    const dy = spreadRows(6, 2, 5);
    for (let m = 1; m <= 6; m++) {
      const {indices, weights} = await sample(dy, m, 0.3);
      expect(new Set(indices).size).to.equal(m);
      expect(weights.every((weight) => weight >= 1)).to.equal(true);
    }
    const all = await sample(dy, 6, 0.99);
    expect(all.indices).to.deep.equal([0, 1, 2, 3, 4, 5]);
    for (const weight of all.weights) expect(weight).to.be.closeTo(1, 1e-6);
    expect(await sample(spreadRows(1, 4, 6), 1, 0)).to.deep.equal({indices: [0], weights: [1]});
  });

  it('draws the rows that the points offset + j meet, also among many', async () => {
    const dy = spreadRows(700, 3, 8);
    const probabilities = inclusionProbabilities(dy, 200);
    for (const offset of [0.1, 0.77]) {
      const {indices, weights} = await sample(dy, 200, offset);
      expect(new Set(indices).size).to.equal(200);
      const expected = drawnRows(probabilities, offset, 1e-3);
      for (const [row, drawn] of expected.entries()) {
        const n = indices.indexOf(row);
        if (drawn !== undefined) expect(n >= 0, `row ${row}`).to.equal(drawn);
        if (drawn) expect(weights[n]).to.be.closeTo(1 / probabilities[row]!, 1e-3 * weights[n]!);
      }
      expect(expected.filter((drawn) => drawn === undefined).length).to.be.below(20);
    }
  });

  it('draws the same rows from the same offset', async () => {
    const dy = spreadRows(40, 3, 7);
    expect(await sample(dy, 15, 0.42)).to.deep.equal(await sample(dy, 15, 0.42));
  });

  it('lets a NaN or an infinity reach the weights, whatever row it stands in', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const row of [0, 5]) {
        const dy = matrix(6, 2, (i, j) => (i === row && j === 1 ? bad : 1));
        expect((await sample(dy, 2, 0.5)).weights).to.deep.equal([Number.NaN, Number.NaN]);
      }
    }
  });

  it('names the argument that does not fit, and its value', () => {
    const dy = tf.zeros([4, 3]);
    const wrongRows = (m: number) => `sampleRows: rows must be an integer from 1 to 4, but is ${m}`;
    for (const m of [0, 5, 2.5, Number.NaN]) expect(() => sampleRows(dy, m, 0)).to.throw(wrongRows(m));
    const wrongOffset = (u: number) => `sampleRows: offset must be a number with 0 ≤ offset < 1, but is ${u}`;
    for (const u of [-0.1, 1, Number.NaN]) expect(() => sampleRows(dy, 2, u)).to.throw(wrongOffset(u));
    const wrongDy = 'sampleRows: dy must be a float32 matrix [any, any], but is float32 of shape [4]';
    expect(() => sampleRows(tf.zeros([4]), 2, 0)).to.throw(wrongDy);
  });
});
