import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {embeddingLookup} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {at, type Matrix, matrix, randomMatrix, zeros} from '../reference/matrix.ts';
import {workOf} from './profile.ts';
import {tensorOf} from './tensors.ts';

/** Rows of the table, and the sum of dy's rows of each id. */
function reference(table: Matrix, ids: number[], dy: Matrix): {rows: Matrix; dTable: Matrix} {
  const dTable = zeros(table.rows, table.columns);
  for (const [i, id] of ids.entries()) {
    for (let j = 0; j < table.columns; j++) dTable.data[id * table.columns + j]! += at(dy, i, j);
  }
  return {rows: matrix(ids.length, table.columns, (i, j) => at(table, ids[i]!, j)), dTable};
}

const SIZES = [
  [20, 8, [1, 5]],
  [123, 33, [5, 3]],
  [257, 7, [2, 3, 4]],
  [1, 1, [1]],
  [3, 5, [40]],
  [9, 1, [6, 1]],
  [5, 1100, [7]],
] as const;

describeWithShaders('embeddingLookup', (backend) => {
  for (const [classes, size, shape] of SIZES) {
    it(`and its gradient equal the formula: ids [${shape}] of a table [${classes},${size}]`, async () => {
      const random = randomStream(1);
      const table = randomMatrix(classes, size, random);
      const count = shape.reduce<number>((product, n) => product * n, 1);
      const ids = Array.from({length: count}, () => Math.floor(random() * classes));
      const dy = randomMatrix(count, size, random);
      const {rows, dTable} = reference(table, ids, dy);
      const indices = tf.tensor(ids, [...shape], 'int32');
      const f = tf.valueAndGrad((x: tf.Tensor) => embeddingLookup(x, indices));
      const {value, grad} = f(tensorOf(table), tf.reshape(tensorOf(dy), [...shape, size]));
      expect(value.shape).to.deep.equal([...shape, size]);
      await expectClose(value, rows.data, 0);
      expect(grad.shape).to.deep.equal([classes, size]);
      await expectClose(grad, dTable.data, 1e-6);
    });
  }

  it('sums the rows of one id, however many there are', async () => {
    const ids = tf.fill([300], 2, 'int32');
    const grad = tf.grad((x: tf.Tensor) => embeddingLookup(x, ids))(tf.zeros([4, 3]), tf.ones([300, 3]));
    await expectClose(grad, [0, 0, 0, 0, 0, 0, 300, 300, 300, 0, 0, 0], 0);
  });

  it('has a gradient of zero for the ids that are absent, also where a buffer is used again', async () => {
    const gradient = (id: number) => {
      const ids = tf.fill([2], id, 'int32');
      return tf.grad((x: tf.Tensor) => embeddingLookup(x, ids))(tf.zeros([3, 5]), tf.ones([2, 5]));
    };
    const first = gradient(0);
    await first.data();
    first.dispose();
    await expectClose(gradient(2), [...Array(10).fill(0), ...Array(5).fill(2)], 0);
  });

  it('leaves no tensor behind', async () => {
    const [table, ids, dy] = [tf.ones([9, 4]), tf.tensor1d([1, 1, 8], 'int32'), tf.ones([3, 4])];
    await expectNoLeaks(() => {
      tf.dispose(tf.valueAndGrad((x: tf.Tensor) => embeddingLookup(x, ids))(table, dy));
    });
  });

  it('computes nothing for a frozen table', async function () {
    // the profiler reads every result, which WebGPU in Node cannot
    if (backend !== 'cpu' && backend !== 'wasm') this.skip();
    const ids = tf.tensor1d([1, 1, 8], 'int32');
    const work = (trainable: boolean) => {
      const [table, shift] = [tf.variable(tf.ones([9, 4]), trainable), tf.variable(tf.scalar(1))];
      const loss = () => tf.sum(tf.mul(embeddingLookup(table, ids), shift)) as tf.Scalar;
      return workOf(() => tf.variableGrads(loss, trainable ? [table, shift] : [shift]));
    };
    expect(await work(true)).to.include({EmbeddingLookup: 1, EmbeddingGrad: 1});
    expect(await work(false)).not.to.have.any.keys('EmbeddingGrad', tf.ScatterNd);
  });

  it('names the argument that does not fit, and its dtype', () => {
    const ids = tf.zeros([2], 'int32');
    expect(() => embeddingLookup(tf.zeros([3]), ids)).to.throw(
      'embeddingLookup: table must be a float32 matrix',
    );
    expect(() => embeddingLookup(tf.zeros([3, 2]), tf.zeros([2]))).to.throw(
      'embeddingLookup: ids must be int32, but is float32',
    );
  });
});
