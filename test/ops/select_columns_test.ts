import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import fc from 'fast-check';
import {columnScores, type Score, selectColumns} from '../../src/index.ts';
import {describeWithShaders, expectClose} from '../backends.ts';
import {largest, columnScores as referenceScores} from '../reference/columns.ts';
import {columnNorms, zeros} from '../reference/matrix.ts';
import {randomDy, randomProduct, SIZES, tensorOf, title} from './tensors.ts';

describeWithShaders('columnScores', () => {
  for (const sizes of SIZES) {
    it(`equals the formula: ${title(sizes)}`, async () => {
      const dy = randomDy(sizes);
      const norms = columnNorms(randomProduct(sizes).kernel);
      for (const score of ['product', 'weight', 'gradient'] as const) {
        const scores = columnScores(tensorOf(dy), tf.tensor1d(norms), score);
        await expectClose(scores, referenceScores(dy, norms, score));
      }
    });
  }

  it('takes the product of norms by default, and gives 0 for a zero dy', async () => {
    const norms = tf.tensor1d([1, 2, 3]);
    await expectClose(
      columnScores(
        tf.tensor2d([
          [3, 0, 1],
          [4, 0, 0],
        ]),
        norms,
      ),
      [5, 0, 3],
    );
    await expectClose(columnScores(tensorOf(zeros(2, 3)), norms), [0, 0, 0]);
  });

  it('names the argument that does not fit, and its value', () => {
    const [dy, norms] = [tf.zeros([2, 3]), tf.zeros([3])];
    const wrongDy = 'columnScores: dy must be a float32 matrix [any, any], but is float32 of shape [3]';
    const wrongNorms = 'columnScores: norms must be a float32 vector [3], but is float32 of shape [2]';
    const wrongScore = "columnScores: score must be one of 'product', 'weight', 'gradient', but is 'norm'";
    expect(() => columnScores(tf.zeros([3]), norms)).to.throw(wrongDy);
    expect(() => columnScores(dy, tf.zeros([2]))).to.throw(wrongNorms);
    expect(() => columnScores(dy, norms, 'norm' as Score)).to.throw(wrongScore);
  });
});

describeWithShaders('selectColumns', (backend) => {
  const check = async (scores: number[], k: number) => {
    const indices = selectColumns(tf.tensor1d(scores, 'float32'), k);
    expect(indices.dtype).to.equal('int32');
    expect(Array.from(await indices.data())).to.deep.equal(largest(scores, k));
  };

  it('keeps the k largest, ascending', () =>
    fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.float({min: 0, max: 1000, noNaN: true}), {minLength: 1, maxLength: 70}),
        fc.double({min: 0, max: 1, noNaN: true}),
        (scores, part) => check(scores, Math.max(1, Math.round(part * scores.length))),
      ),
      {seed: 4, numRuns: backend === 'webgpu' ? 8 : 60},
    ));

  it('keeps the first of equal ones', async () => {
    await check([1, 3, 3, 2, 3, 0], 2);
    await check([0, 0, 0, 0, 0], 3);
    await check([5, 1, 1, 1, 5, 1, 1], 4);
  });

  it('takes k = 1, k = out and out = 1', async () => {
    await check([1, 7, 3], 1);
    await check([1, 7, 3], 3);
    await check([2], 1);
  });

  it('takes more columns than any workgroup holds', () => {
    const scores = Array.from({length: 3000}, (_, i) => Math.fround((i * 7919) % 3001));
    return check(scores, 1504);
  });

  it('names the argument that does not fit, and its value', () => {
    const scores = tf.zeros([4]);
    const fails = (k: number) => `selectColumns: k must be an integer from 1 to 4, but is ${k}`;
    for (const k of [0, 5, 1.5, Number.NaN]) expect(() => selectColumns(scores, k)).to.throw(fails(k));
    const wrong = 'selectColumns: scores must be a float32 vector [any], but is float32 of shape [2,2]';
    expect(() => selectColumns(tf.zeros([2, 2]), 1)).to.throw(wrong);
  });
});
