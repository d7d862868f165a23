import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {installTensorFlowSharing, setUpTensorFlow} from '../../../src/node.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../../backends.ts';
import {watchOps} from '../../support/tensorflow_ops.ts';

/** The ops that `run` runs, and the shapes of the arrays that it hands over. */
function workOf(run: () => void): {ops: string[]; uploads: number[][]} {
  const watch = watchOps()!;
  try {
    run();
    return {ops: watch.ops, uploads: watch.uploads};
  } finally {
    watch.dispose();
  }
}

const handles = () => (tf.backend() as tf.KernelBackend & {getNumOfTFTensors(): number}).getNumOfTFTensors();

describeBackends('installTensorFlowSharing', (backend) => {
  if (backend !== 'tensorflow') {
    it('is for tensorflow alone', () => {
      expect(installTensorFlowSharing).to.throw(
        `installTensorFlowSharing: the backend must be 'tensorflow', but is '${backend}'`,
      );
    });
    return;
  }

  const matrix = () => tf.add(tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]), 0);

  describe('reshapes', () => {
    it('run no op themselves, and one for each shape that an op takes', () => {
      const x = matrix();
      let views: tf.Tensor[] = [];
      const made = workOf(() => {
        views = [tf.reshape(x, [6]), tf.reshape(x, [3, -1]), tf.expandDims(x, -1), tf.cast(x, 'float32')];
      });
      expect(made.ops).to.deep.equal([]);
      expect(views.map(({shape}) => shape)).to.deep.equal([[6], [3, 2], [2, 3, 1], [2, 3]]);
      const used = workOf(() => {
        for (const view of views) tf.dispose([tf.neg(view), tf.neg(view)]);
      });
      expect(used.ops.filter((op) => op === 'Reshape')).to.have.length(3);
      const back = workOf(() => void tf.square(tf.reshape(views[0]!, [2, 3])));
      expect(back.ops).to.deep.equal(['Square']);
    });

    it('have the values and shapes of stock ones, at every rank', async () => {
      const values = Array.from({length: 12}, (_, i) => i - 5);
      const x = tf.tensor(values);
      for (const shape of [[12], [3, 4], [2, 3, 2], [1, 2, 1, 6], [1, 1, 12, 1, 1], [3, 1, 2, 1, 2, 1]]) {
        const view = tf.reshape(x, shape);
        expect(await view.data()).to.deep.equal(new Float32Array(values));
        await expectClose(
          tf.mul(view, view),
          values.map((value) => value * value),
          0,
        );
        expect(tf.sum(view, -1).shape).to.deep.equal(shape.slice(0, -1));
      }
      expect(await tf.reshape(tf.tensor1d([7]), []).array()).to.equal(7);
      expect((await tf.add(tf.reshape(tf.zeros([0, 3]), [3, 0, 2]), 1).data()).length).to.equal(0);
      for (const dim of [0, 1, 2, -1, -2, -3]) {
        const expected = [
          [1, 2, 3],
          [2, 1, 3],
          [2, 3, 1],
        ].at(dim);
        expect(tf.neg(tf.expandDims(matrix(), dim)).shape).to.deep.equal(expected);
      }
    });

    it('of int32, bool and string tensors', async () => {
      const integers = tf.reshape(tf.tensor1d([1, 2, 3, 4], 'int32'), [2, 2]);
      expect(await tf.add(integers, tf.scalar(1, 'int32')).array()).to.deep.equal([
        [2, 3],
        [4, 5],
      ]);
      const bits = tf.reshape(tf.greater(tf.tensor1d([1, -1, 2, -2]), 0), [2, 2]);
      expect(await tf.logicalNot(bits as tf.Tensor2D).array()).to.deep.equal([
        [0, 1],
        [0, 1],
      ]);
      const text = tf.reshape(tf.tensor1d(['a', 'b']), [2, 1]);
      expect(await text.array()).to.deep.equal([['a'], ['b']]);
      expect(await tf.concat([text, text], 1).array()).to.deep.equal([
        ['a', 'a'],
        ['b', 'b'],
      ]);
    });

    it('outlive what they are of, and are freed with the last that shares the data', async () => {
      const before = handles();
      const x = matrix();
      const view = tf.reshape(x, [3, 2]);
      const sum = tf.add(view, view);
      x.dispose();
      await expectClose(view, [1, 2, 3, 4, 5, 6], 0);
      const more = tf.mul(view, view);
      view.dispose();
      await expectClose(more, [1, 4, 9, 16, 25, 36], 0);
      tf.dispose([sum, more]);
      expect(handles() - before).to.be.at.most(2); // the number 0 and the shape
    });

    it('of a variable show its values, also after an assignment to it', async () => {
      const variable = tf.variable(matrix());
      const before = tf.reshape(variable, [6]);
      variable.assign(tf.neg(variable));
      await expectClose(tf.add(before, 0), [1, 2, 3, 4, 5, 6], 0);
      await expectClose(tf.add(tf.reshape(variable, [6]), 0), [-1, -2, -3, -4, -5, -6], 0);
      variable.dispose();
    });

    it('have gradients', async () => {
      const grad = tf.grad((x) => tf.sum(tf.square(tf.reshape(tf.expandDims(x, 0), [6]))) as tf.Scalar);
      await expectClose(grad(matrix()), [2, 4, 6, 8, 10, 12], 0);
    });

    it('go to other backends, and come from them', async () => {
      const x = matrix();
      const view = tf.reshape(x, [3, 2]);
      tf.neg(view);
      await tf.setBackend('cpu');
      try {
        await expectClose(tf.transpose(view), [1, 3, 5, 2, 4, 6], 0);
        const there = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
        const viewThere = tf.reshape(there, [3, 2]);
        await tf.setBackend('tensorflow');
        await expectClose(tf.transpose(viewThere), [1, 3, 5, 2, 4, 6], 0);
        await expectClose(tf.transpose(there), [1, 4, 2, 5, 3, 6], 0);
        await expectClose(tf.transpose(x), [1, 4, 2, 5, 3, 6], 0);
      } finally {
        await tf.setBackend('tensorflow');
      }
    });
  });

  describe('ops that treat rows by themselves', () => {
    it('run in the shape of the data, and give the shape that was asked for', async () => {
      const x = matrix();
      const deep = tf.reshape(x, [1, 2, 3]);
      const vector = tf.tensor1d([1, 10, 100]);
      const {ops} = workOf(() => {
        for (const y of [tf.square(deep), tf.add(deep, deep), tf.mul(deep, vector), tf.sub(2, deep)]) {
          expect(y.shape).to.deep.equal([1, 2, 3]);
          tf.neg(tf.reshape(y, [2, 3]));
        }
      });
      expect(ops).not.to.include('Reshape');
      await expectClose(tf.mul(deep, vector), [1, 20, 300, 4, 50, 600], 0);
      await expectClose(tf.sub(2, deep), [1, 0, -1, -2, -3, -4], 0);
      await expectClose(tf.matMul(tf.square(deep), tf.ones([1, 3, 1])), [14, 77], 0);
    });

    it('agree where the data of their inputs have different shapes', async () => {
      const [x, y] = [matrix(), tf.neg(tf.tensor3d([1, 2, 3, 4, 5, 6], [1, 2, 3]))];
      const sum = tf.add(tf.reshape(x, [1, 2, 3]), y);
      expect(sum.shape).to.deep.equal([1, 2, 3]);
      await expectClose(sum, [0, 0, 0, 0, 0, 0], 0);
      await expectClose(tf.transpose(sum), [0, 0, 0, 0, 0, 0], 0);
    });

    it('keep to what they are asked where rows are others, or broadcast', async () => {
      const x = matrix();
      const turned = tf.reshape(x, [3, 2]);
      await expectClose(tf.add(turned, tf.tensor1d([10, 20])), [11, 22, 13, 24, 15, 26], 0);
      const deep = tf.reshape(x, [2, 1, 3]);
      expect(tf.add(deep, x).shape).to.deep.equal([2, 2, 3]);
      await expectClose(tf.add(deep, x), [2, 4, 6, 5, 7, 9, 5, 7, 9, 8, 10, 12], 0);
      await expectClose(tf.mul(deep, tf.tensor3d([2, 3], [2, 1, 1])), [2, 4, 6, 12, 15, 18], 0);
      expect((await tf.add(tf.reshape(tf.zeros([0, 3]), [0, 1, 3]), 1).data()).length).to.equal(0);
    });
  });

  describe('products of matrices', () => {
    it('are one op, whatever batch of one they are asked for', async () => {
      const [a, b] = [matrix(), tf.add(tf.tensor2d([1, 0, -1, 2, 1, 0], [3, 2]), 0)];
      const product = [2, 4, 5, 10];
      for (const [left, right] of [[], [1], [1, 1]].flatMap((one) => [
        [one, [1]],
        [[], one],
      ])) {
        const views = [tf.reshape(a, [...left!, 2, 3]), tf.reshape(b, [...right!, 3, 2])] as const;
        let made: tf.Tensor | undefined;
        const work = workOf(() => {
          made = tf.matMul(...views);
        });
        expect(work.ops).to.deep.equal(['MatMul']);
        expect(made!.shape.slice(-2)).to.deep.equal([2, 2]);
        expect(made!.rank).to.equal(Math.max(left!.length, right!.length) + 2);
        await expectClose(made!, product, 0);
      }
    });

    it('have the values of stock ones: transposed, empty, of batches', async () => {
      const a = matrix();
      await expectClose(tf.matMul(a, a, false, true), [14, 32, 32, 77], 0);
      await expectClose(tf.matMul(a, a, true, false), [17, 22, 27, 22, 29, 36, 27, 36, 45], 0);
      await expectClose(tf.matMul(tf.slice(a, [0, 0], [2, 2]), a, true, false), [17, 22, 27, 22, 29, 36], 0);
      expect((await tf.matMul(tf.zeros([0, 3]), tf.zeros([3, 2])).data()).length).to.equal(0);
      await expectClose(tf.matMul(tf.zeros([2, 0]), tf.zeros([0, 2])), [0, 0, 0, 0], 0);
      const batches = tf.stack([a, tf.neg(a)]);
      const {ops} = workOf(() => void tf.matMul(batches, batches, false, true));
      expect(ops).to.include('BatchMatMulV2');
      await expectClose(tf.matMul(batches, batches, false, true), [14, 32, 32, 77, 14, 32, 32, 77], 0);
    });
  });

  describe('small arrays', () => {
    it('are handed over once', () => {
      const x = matrix();
      const run = () => tf.tidy(() => void tf.slice(tf.mul(x, 0.123), [0, 1], [2, 2]));
      run();
      expect(workOf(run).uploads).to.deep.equal([]);
    });

    it('that differ in shape, dtype, sign of zero or a bit are different ones', async () => {
      const results = [0, -0, 1, 1 + 2 ** -23, Number.NaN, Number.POSITIVE_INFINITY].map((value) =>
        tf.div(1, tf.scalar(value)),
      );
      const values = await Promise.all(results.map(async (result) => (await result.data())[0]!));
      expect(values.slice(0, 2)).to.deep.equal([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
      expect(values[2]).to.equal(1);
      expect(values[3]).to.be.below(1);
      expect(values[4]).to.be.NaN;
      expect(values[5]).to.equal(0);
      expect(tf.add(tf.tensor1d([3]), tf.tensor2d([[3]])).shape).to.deep.equal([1, 1]);
      expect(tf.add(tf.scalar(3, 'int32'), tf.scalar(3, 'int32')).dtype).to.equal('int32');
    });

    it('keep the values they had when they were handed over', async () => {
      const values = new Float32Array([1, 2]);
      const first = tf.tensor1d(values);
      const sum = tf.add(first, first);
      values.fill(5);
      await expectClose(sum, [2, 4], 0);
      await expectClose(tf.add(tf.tensor1d([1, 2]), 0), [1, 2], 0);
      await expectClose(tf.add(tf.tensor1d(values), 0), [5, 5], 0);
    });

    it('that are too many are forgotten, the ones in use are not', async () => {
      const held = tf.scalar(0.5);
      const many = (from: number) =>
        tf.tidy(() => {
          for (let i = 0; i < 1500; i++) tf.add(held, from + i);
        });
      many(10);
      const before = handles();
      await expectNoLeaks(() => many(10_000));
      expect(handles()).to.equal(before);
      await expectClose(tf.add(held, 0), [0.5], 0);
    });
  });

  it('is off when the last installation is disposed, and what shares data then still works', async () => {
    const {sharing} = await setUpTensorFlow();
    const other = installTensorFlowSharing();
    const reshape = tf.getKernel(tf.Reshape, 'tensorflow');
    const view = tf.reshape(matrix(), [3, 2]);
    sharing.dispose();
    expect(tf.getKernel(tf.Reshape, 'tensorflow')).to.equal(reshape);
    other.dispose();
    try {
      const x = matrix();
      const {ops, uploads} = workOf(() => void tf.reshape(x, [6]));
      expect(ops).to.deep.equal(['Reshape']);
      expect(uploads).to.deep.equal([[1]]);
      expect(workOf(() => void tf.mul(x, 2)).uploads).to.deep.equal([[]]);
      expect(workOf(() => void tf.mul(x, 2)).uploads).to.deep.equal([[]]);
      await expectClose(tf.neg(view), [-1, -2, -3, -4, -5, -6], 0);
    } finally {
      installTensorFlowSharing();
    }
  });
});
