import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {crossEntropy} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {crossEntropy as reference} from '../reference/cross_entropy.ts';
import {type Matrix, matrix, randomMatrix, scale} from '../reference/matrix.ts';
import {onDevice, workOf} from './profile.ts';
import {tensorOf} from './tensors.ts';

const SIZES = [
  [16, 48],
  [5, 123],
  [7, 257],
  [1, 1],
  [1, 9],
  [6, 1],
] as const;

const labelsFor = (rows: number, classes: number, seed = 5): number[] => {
  const random = randomStream(seed);
  return Array.from({length: rows}, () => Math.floor(random() * classes));
};

const ints = (labels: number[], shape?: number[]): tf.Tensor =>
  tf.tensor(labels, shape ?? [labels.length], 'int32');

const withGradient = (logits: tf.Tensor, labels: tf.Tensor, options = {}, dy = 1) =>
  tf.tidy(() => tf.valueAndGrad((x) => crossEntropy(x, labels, options))(logits, tf.scalar(dy)));

describeWithShaders('crossEntropy', (backend) => {
  onDevice(backend);

  async function check(logits: Matrix, labels: number[], ignoreLabel?: number): Promise<void> {
    const expected = reference(logits, labels, ignoreLabel);
    const options = ignoreLabel === undefined ? {} : {ignoreLabel};
    const {value, grad} = withGradient(tensorOf(logits), ints(labels), options, 2);
    expect(value.shape).to.deep.equal([]);
    await expectClose(value, [expected.mean], 1e-5);
    await expectClose(grad, scale(expected.dLogits, 2).data, 1e-5);
    const sum = withGradient(tensorOf(logits), ints(labels), {...options, reduction: 'sum'});
    await expectClose(sum.value, [expected.sum], 1e-5);
    await expectClose(sum.grad, scale(expected.dLogits, expected.counted).data, 1e-5);
  }

  for (const [rows, classes] of SIZES) {
    it(`and its gradient equal the formula: ${rows}×${classes}`, () =>
      check(randomMatrix(rows, classes, randomStream(1), 3), labelsFor(rows, classes)));
  }

  it('leaves ignored labels out, of whatever value', async () => {
    const logits = randomMatrix(8, 23, randomStream(2), 2);
    await check(logits, [3, -100, 22, 0, -100, 7, 7, 1]);
    await check(logits, [3, 0, 22, 0, 5, 7, 7, 1], 7);
    await check(logits, [3, -1, 22, 0, -1, 7, 7, 1], -1);
  });

  it('takes labels out of range for ignored ones', () =>
    check(randomMatrix(6, 23, randomStream(3)), [3, 23, -5, 2 ** 31 - 1, -(2 ** 31), 22]));

  it('is 0, and so is its gradient, where no label counts', async () => {
    const {value, grad} = withGradient(tf.ones([3, 5]), ints([-100, -100, 5]));
    expect(Array.from(await value.data())).to.deep.equal([0]);
    expect((await grad.data()).every((slope) => slope === 0)).to.equal(true);
  });

  it('is exact for large logits, equal ones, and certainty', async () => {
    const rows = [
      [1000, 999, -1000, 0, 3],
      [-2, -2, -2, -2, -2],
      [0, 0, 80, 0, -80],
      [3e4, 3e4 - 1, -3e4, 0, 0],
      [-1e30, 1e30, 0, 0, 0],
    ];
    const logits = matrix(5, 5, (i, j) => rows[i]![j]!);
    await check(logits, [1, 4, 2, 1, 1]);
    await check(logits, [0, 0, 4, 0, 1]);
  });

  it('takes any number of dimensions before the classes', async () => {
    const logits = randomMatrix(12, 7, randomStream(4));
    const labels = labelsFor(12, 7);
    const {mean, dLogits} = reference(logits, labels);
    for (const shape of [
      [2, 6],
      [3, 2, 2],
      [12, 1],
    ]) {
      const {value, grad} = withGradient(tf.reshape(tensorOf(logits), [...shape, 7]), ints(labels, shape));
      expect(grad.shape).to.deep.equal([...shape, 7]);
      await expectClose(value, [mean]);
      await expectClose(grad, dLogits.data);
    }
    await expectClose(crossEntropy(tf.tensor1d([1, 2, 3]), tf.scalar(2, 'int32')), [
      Math.log(1 + Math.exp(-1) + Math.exp(-2)),
    ]);
  });

  it('agrees with central differences of its own values in a random direction', async () => {
    const [logits, direction] = [1, 2].map((seed) => tensorOf(randomMatrix(5, 33, randomStream(seed))));
    const labels = ints([3, 32, -100, 0, 7]);
    const at = async (step: number) =>
      (await crossEntropy(tf.add(logits!, tf.mul(direction!, step)), labels).data())[0]!;
    const {grad} = withGradient(logits!, labels);
    const slope = (await tf.sum(tf.mul(grad, direction!)).data())[0]!;
    expect(((await at(0.02)) - (await at(-0.02))) / 0.04).to.be.closeTo(slope, 1e-3);
  });

  it('is exact beyond 2²⁴ logits', async () => {
    const [rows, classes] = [140, 128_256];
    // of logits that are 0 but where they are labels, which a float32 index would miss
    const labels = Array.from({length: rows}, (_, i) => (i === 3 ? -100 : (i * 7919 + 128_255) % classes));
    const {value, marked} = tf.tidy(() => {
      const at = tf.tensor2d(
        labels.map((label, i) => [i, Math.max(0, label)]),
        [rows, 2],
        'int32',
      );
      const logits = tf.scatterND(at, tf.fill([rows], 9), [rows, classes]);
      const {value, grad} = withGradient(logits, ints(labels));
      // the slope of each label, and that of its neighbour
      const beside = tf.tensor2d(
        labels.map((label, i) => [i, Math.max(0, label) ^ 1]),
        [rows, 2],
        'int32',
      );
      return {value, marked: tf.stack([tf.gatherND(grad, at), tf.gatherND(grad, beside)])};
    });
    const total = Math.exp(9) + classes - 1;
    await expectClose(value, [Math.log(total) - 9], 2e-5);
    const slopes = [Math.exp(9) / total - 1, 1 / total].flatMap((slope) =>
      labels.map((label) => (label < 0 ? 0 : slope / (rows - 1))),
    );
    const found = await marked.data();
    for (const [i, slope] of slopes.entries()) {
      expect(Math.abs(found[i]! - slope)).to.be.at.most(1e-4 * Math.abs(slope), `slope ${i}`);
    }
  });

  it('leaves no tensor behind', async () => {
    const [logits, labels] = [tf.ones([8, 20]), ints(labelsFor(8, 20))];
    await expectNoLeaks(() => {
      const {value, grad} = withGradient(logits, labels);
      tf.dispose([value, grad, crossEntropy(logits, labels)]);
    });
  });

  it('lets a NaN through, but not out of a row that does not count', async () => {
    const logits = tf.tensor2d([
      [Number.NaN, 1],
      [1, 2],
    ]);
    expect((await crossEntropy(logits, ints([0, 1])).data())[0]).to.be.NaN;
    await expectClose(crossEntropy(logits, ints([-100, 1])), [Math.log(1 + Math.exp(-1))]);
  });

  it('names the argument that does not fit, and its value', () => {
    const [logits, labels] = [tf.zeros([4, 3]), tf.zeros([4], 'int32')];
    expect(() => crossEntropy(logits, tf.zeros([3], 'int32'))).to.throw(
      'crossEntropy: labels must be int32 of shape [4], but is int32 of shape [3]',
    );
    expect(() => crossEntropy(logits, tf.zeros([4]))).to.throw('but is float32 of shape [4]');
    expect(() => crossEntropy(tf.zeros([4, 3], 'int32'), labels)).to.throw(
      'crossEntropy: logits must be float32 of rank ≥ 1, but is int32 of shape [4,3]',
    );
    expect(() => crossEntropy(logits, labels, {ignoreLabel: 0.5})).to.throw(
      'crossEntropy: ignoreLabel must be an integer, but is 0.5',
    );
    expect(() => crossEntropy(logits, labels, {reduction: 'none' as 'sum'})).to.throw(
      "crossEntropy: reduction must be one of 'mean', 'sum', but is 'none'",
    );
  });

  it('makes no one-hot and nothing in backward for what leads to no variable', async function () {
    if (backend !== 'cpu' && backend !== 'wasm') this.skip();
    const [frozen, labels] = [tf.ones([4, 3]), ints([0, 1, 2, 2])];
    const shift = tf.variable(tf.scalar(1));
    const other = await workOf(() => {
      const loss = () => tf.add(shift, crossEntropy(frozen, labels)) as tf.Scalar;
      return tf.variableGrads(loss, [shift]);
    });
    expect(other).not.to.have.any.keys('CrossEntropyGrad');
    const trained = await workOf(() =>
      tf.variableGrads(() => crossEntropy(tf.mul(frozen, shift), labels), [shift]),
    );
    expect(trained).to.include({CountLabels: 1, CrossEntropy: 1, CrossEntropyGrad: 1});
    expect(trained).not.to.have.any.keys(tf.OneHot, tf.LogSoftmax, tf.Softmax);
  });
});
