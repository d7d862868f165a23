import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import type {TensorFlowBackend} from '../../../src/kernels/tensorflow/backend.ts';
import {type Op, runOp} from '../../../src/kernels/tensorflow/run_op.ts';
import {describeOwnOps, expectClose} from '../../backends.ts';

const backend = () => tf.backend() as TensorFlowBackend;

describeOwnOps('ops given what does not fit', () => {
  const fails = (op: Op, message: string) => expect(() => runOp(backend(), op)).to.throw(message);
  const counts = {tf32: true};
  /** Of an op's frozen matrix. */
  const FLOAT32 = {precision: 0, columns: 0};

  it('say which input is missing, or of another shape or dtype', () => {
    const [x, weight] = [tf.ones([2, 3]), tf.ones([4])];
    const norm = {name: 'Norm', counts: {centred: false}, numbers: {epsilon: 1}};
    fails({...norm, reals: [x, weight]}, 'Norm: weight must be of shape [3], but is [4]');
    fails({...norm, reals: [x]}, 'Norm: weight is missing');
    fails({...norm, reals: [tf.scalar(1), weight]}, 'Norm: x must have rows');
    fails({...norm, reals: [x, tf.ones([3], 'int32')]}, 'float');
    fails(
      {
        name: 'AddNorm',
        reals: [x, tf.ones([3, 2]), tf.ones([3])],
        counts: norm.counts,
        numbers: norm.numbers,
        outputs: 2,
      },
      'residual',
    );
    fails(
      {
        name: 'LowRankMatMul',
        reals: [x, x],
        counts: {...counts, transposeA: 0, transposeB: 0},
        numbers: {scale: 1},
      },
      'LowRankMatMul: b must be of shape [3, any], but is [2, 3]',
    );
    fails({name: 'CrossEntropy', reals: [x], outputs: 3}, 'CrossEntropy: labels is missing');
    fails(
      {
        name: 'RotaryEmbedding',
        reals: [tf.ones([1, 2, 6]), tf.ones([2, 2]), tf.ones([2, 2])],
        counts: {interleaved: 0, inverse: 0},
      },
      'RotaryEmbedding: x must have heads of 4 numbers, but is [1, 2, 6]',
    );
  });

  it('refuse indices that are out of range; on a GPU, which they do not wait for, they make them NaN', async () => {
    const [dy, packed] = [tf.ones([2, 3]), tf.ones([4, 32])];
    const op = {
      name: 'ApproxActivationGrad',
      reals: [dy, packed],
      counts: {...counts, ...FLOAT32, frozen: false},
    };
    const onGPU = backend().isUsingGpuDevice;
    const failsOrIsNaN = async (bad: Op, message: string) => {
      if (!onGPU) return fails(bad, message);
      const [result] = runOp(backend(), bad);
      expect([...(await (result as tf.Tensor).data())].some(Number.isNaN)).to.equal(true);
    };
    for (const index of [3, -1, 2 ** 31 - 1]) {
      const integers = [tf.tensor1d([0, index], 'int32')];
      const message = `ApproxActivationGrad: indices must be below 3, but has ${index}`;
      await failsOrIsNaN({...op, integers}, message);
    }
    fails(
      {...op, reals: [dy, tf.ones([4, 2])], integers: [tf.tensor1d([0, 1], 'int32')]},
      'ApproxActivationGrad: packed must be of shape [any, 32], but is [4, 2]',
    );
    const labels = tf.tensor1d([0, 3], 'int32');
    await failsOrIsNaN(
      {name: 'CrossEntropy', reals: [dy], integers: [labels], outputs: 3},
      'CrossEntropy: labels must be below 3, but has 3',
    );
  });

  it('refuse counts that are out of range', () => {
    const scores = tf.ones([3]);
    for (const k of [0, 4, -1, 2 ** 40])
      fails(
        {name: 'SelectColumns', reals: [scores], counts: {k}},
        `SelectColumns: k must be 1 to 3, but is ${k}`,
      );
    fails(
      {name: 'SampleRows', reals: [tf.ones([3, 1]), tf.ones([1])], counts: {rows: 4}, outputs: 2},
      'SampleRows: rows must be 1 to 3',
    );
    const draw = {name: 'RandomUniform', numbers: {keep: 1, kept: 1}};
    const keys = tf.zeros<tf.Rank.R2>([1, 5], 'int32');
    fails({...draw, counts: {size: 0, mask: 0}, integers: [keys]}, 'size must be at least 1, but is 0');
    fails(
      {...draw, counts: {size: 2 ** 24 + 1, mask: 0}, integers: [keys]},
      'RandomUniform: keys must be of shape [2, 5], but is [1, 5]',
    );
    const attention = {
      name: 'CausalAttention',
      reals: [1, 2, 3].map(() => tf.ones([1, 2, 6])),
      numbers: {scale: 1},
      outputs: 2,
    };
    fails({...attention, counts: {heads: 3, kvHeads: 2, tf32: 0}}, 'heads must be a multiple of kvHeads');
    fails(
      {...attention, counts: {heads: 4, kvHeads: 4, tf32: 0, t: 2}},
      'CausalAttention: q must have 4 heads',
    );
    fails(
      {...attention, counts: {heads: 3, kvHeads: 3, tf32: 0, t: 4}},
      'CausalAttention: q must be of texts of 4 tokens, but is [2, 6]',
    );
    const shapes = [1, 2, 3, 4];
    fails(
      {name: 'UnpackTensors', reals: [tf.ones([2])], counts: {K: 2, shapes}, outputs: 2},
      'shapes are cut off',
    );
    fails(
      {name: 'UnpackTensors', reals: [tf.ones([2])], counts: {K: 1, shapes: [2, 2 ** 30, 2 ** 30]}},
      'too large',
    );
    fails(
      {name: 'UnpackTensors', reals: [tf.ones([2])], counts: {K: 1, shapes: [1, 3]}},
      'flat must be of shape [3], but is [2]',
    );
  });

  it('say which attribute is missing or no integer', () => {
    const op = {name: 'SelectColumns', reals: [tf.ones([3])]};
    fails(op, 'SelectColumns: attribute k is missing');
    for (const k of [1.5, Number.NaN])
      fails({...op, counts: {k}}, `SelectColumns: attribute k must be an integer, but is '${k}'`);
  });

  it('go on computing afterwards', async () => {
    fails({name: 'SelectColumns', reals: [tf.ones([1])], counts: {k: 2}}, 'SelectColumns');
    const [chosen] = runOp(backend(), {
      name: 'SelectColumns',
      reals: [tf.tensor1d([1, 3, 2])],
      counts: {k: 2},
    });
    await expectClose(chosen as tf.Tensor, [1, 2], 0);
  });
});
