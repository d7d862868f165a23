import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {describeBackends, expectClose, expectNoLeaks} from '../../backends.ts';
import {randomTensor} from '../../model/models.ts';
import {sampleTokens} from './sample_tokens.ts';

/** Of x [n, in] and W [in, out]: (xW)², row by row. */
const squared = (w: tf.Tensor) => (rows: tf.Tensor2D) =>
  tf.square(tf.matMul(rows, w as tf.Tensor2D)) as tf.Tensor2D;

type Rows = number[][];

/** The gradients of Σ dy ∘ (xW)² through some rows alone, by plain loops in float64; those that count are scaled. */
function reference(x: Rows, w: Rows, dy: Rows, sample: ReadonlySet<number>) {
  const scale = x.length / sample.size;
  const dx = x.map((row) => row.map(() => 0));
  const dw = w.map((row) => row.map(() => 0));
  for (const n of sample) {
    for (let j = 0; j < w[0]!.length; j++) {
      const product = x[n]!.reduce((sum, value, i) => sum + value * w[i]![j]!, 0);
      const inner = 2 * scale * product * dy[n]![j]!;
      for (let i = 0; i < w.length; i++) {
        dx[n]![i]! += inner * w[i]![j]!;
        dw[i]![j]! += inner * x[n]![i]!;
      }
    }
  }
  return {dx, dw};
}

describeBackends('sampleTokens', () => {
  function gradients(x: tf.Tensor, w: tf.Tensor, dy: tf.Tensor, keep: number, seed: number) {
    const run = (x: tf.Tensor, w: tf.Tensor) => sampleTokens(squared(w), x, {keep, seed});
    return tf.tidy(() => tf.grads(run)([x, w], dy)) as [tf.Tensor, tf.Tensor];
  }

  for (const [shape, out, keep] of [
    [[8, 6], 4, 0.5],
    [[5, 41, 123], 7, 0.25],
    [[1, 1], 1, 0.5],
    [[3, 2, 2], 1, 1e-3],
    [[4, 3], 2, 1],
  ] as const) {
    it(`goes back through a sample: [${shape}] → ${out}, keep ${keep}`, async () => {
      const [x, w] = [randomTensor([...shape], 1), randomTensor([shape.at(-1)!, out], 2)];
      const dy = randomTensor([...shape.slice(0, -1), out], 3);
      const rows = async (tensor: tf.Tensor) =>
        (await (tf.reshape(tensor, [-1, tensor.shape.at(-1)!]) as tf.Tensor2D).array()) as Rows;
      const [xs, ws, dys] = [await rows(x), await rows(w), await rows(dy)];
      const [dx, dw] = gradients(x, w, dy, keep, 5);
      expect(dx.shape).to.deep.equal(x.shape);
      const sample = new Set(
        (await rows(dx)).flatMap((row, n) => (row.some((value) => value !== 0) ? [n] : [])),
      );
      expect(sample.size).to.equal(Math.max(1, Math.round(keep * xs.length)));
      const expected = reference(xs, ws, dys, sample);
      await expectClose(dx, expected.dx.flat(), 1e-5);
      await expectClose(dw, expected.dw.flat(), 1e-5);
    });
  }

  it('is exact in forward, with and without a gradient', async () => {
    const [x, w] = [randomTensor([2, 9, 3], 1), randomTensor([3, 5], 2)];
    const exact = Array.from(await squared(w)(tf.reshape(x, [18, 3])).data());
    const run = (x: tf.Tensor) => sampleTokens(squared(w), x, {keep: 0.4, seed: 1});
    const recorded = tf.valueAndGrad((x: tf.Tensor) => {
      const y = run(x);
      return tf.sum(y) as tf.Scalar;
    })(x);
    const plain = run(x);
    expect(plain.shape).to.deep.equal([2, 9, 5]);
    await expectClose(plain, exact, 1e-5);
    await expectClose(recorded.value, [exact.reduce((sum, value) => sum + value, 0)], 1e-4);
  });

  it('leaves nothing behind', async () => {
    const [x, w, dy] = [randomTensor([7, 3], 1), randomTensor([3, 2], 2), randomTensor([7, 2], 3)];
    tf.dispose(gradients(x, w, dy, 0.5, 1));
    await expectNoLeaks(() => tf.dispose(gradients(x, w, dy, 0.5, 1)));
  });

  it('names what is wrong', () => {
    const x = tf.ones([4, 3]);
    const run = (options: object, block = (rows: tf.Tensor2D) => rows) =>
      sampleTokens(block, x, {keep: 0.5, seed: 0, ...options});
    expect(() => run({keep: 0})).to.throw('sampleTokens: keep must be a number with 0 < keep ≤ 1, but is 0');
    expect(() => run({seed: -1})).to.throw('sampleTokens: seed must be an integer ≥ 0, but is -1');
    expect(() => run({}, (rows) => tf.slice(rows, 0, 1))).to.throw(
      'sampleTokens: block must return [4, out] of [4,3], but returns [1,3]',
    );
    expect(() => sampleTokens((rows) => rows, tf.ones([4]), {keep: 0.5, seed: 0})).to.throw(
      'sampleTokens: x must have rank ≥ 2, but its shape is [4]',
    );
  });
});

describe('sampleTokens', () => {
  before(async () => {
    await import('@tensorflow/tfjs-backend-cpu');
    await tf.setBackend('cpu');
  });

  it('has the exact gradients as its mean', async () => {
    const SAMPLES = 2000;
    const [x, w, dy] = [randomTensor([6, 2], 1), randomTensor([2, 2], 2), randomTensor([6, 2], 3)];
    const exact = tf.grads((x: tf.Tensor, w: tf.Tensor) => squared(w)(x as tf.Tensor2D))([x, w], dy);
    const expected = exact.flatMap((gradient) => [...gradient.dataSync()]);
    const [sums, squares] = [expected.map(() => 0), expected.map(() => 0)];
    for (let seed = 0; seed < SAMPLES; seed++) {
      const run = (x: tf.Tensor, w: tf.Tensor) => sampleTokens(squared(w), x, {keep: 1 / 3, seed});
      const values = tf.tidy(() =>
        tf
          .grads(run)([x, w], dy)
          .flatMap((gradient) => [...gradient.dataSync()]),
      );
      for (const [i, value] of values.entries()) {
        sums[i]! += value / SAMPLES;
        squares[i]! += value ** 2 / SAMPLES;
      }
    }
    for (const [i, mean] of sums.entries()) {
      const error = Math.sqrt((squares[i]! - mean ** 2) / SAMPLES);
      // five standard errors
      expect(Math.abs(mean - expected[i]!)).to.be.below(5 * error);
    }
  });
});
