import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {ActivationGradient, loraMatMul} from '../../src/index.ts';
import {describeWithShaders, expectClose} from '../backends.ts';
import {forward} from '../reference/lora.ts';
import {checkSizes, randomProduct, SIZES, tensorsOf, title} from './tensors.ts';

describeWithShaders('loraMatMul', (backend) => {
  for (const sizes of SIZES) {
    it(`equals the formula: ${title(sizes)}`, async () => {
      const product = randomProduct(sizes);
      await expectClose(loraMatMul(tensorsOf(product)), forward(product).data);
    });
  }

  it('equals the formula for any sizes', () =>
    checkSizes(backend, async (sizes, seed) => {
      const product = randomProduct(sizes, seed);
      const y = loraMatMul(tensorsOf(product));
      expect(y.shape).to.deep.equal([sizes.rows, sizes.units]);
      await expectClose(y, forward(product).data);
    }));

  for (const activation of ['relu', 'elu'] as const) {
    for (const rank of [0, 3]) {
      it(`applies ${activation}, rank ${rank}, also while a tape records`, async () => {
        const product = {...randomProduct({rows: 5, inputs: 7, units: 9, rank, bias: true}), activation};
        const args = tensorsOf(product);
        const expected = forward(product).data;
        await expectClose(loraMatMul(args), expected);
        const {value} = tf.valueAndGrad((x: tf.Tensor) => tf.sum(loraMatMul({...args, x})))(args.x);
        await expectClose(value, [expected.reduce((sum, y) => sum + y, 0)]);
      });
    }
  }

  it('keeps the leading dimensions of x, rank 3 and 4', async () => {
    const product = randomProduct({rows: 12, inputs: 5, units: 4, rank: 2, bias: true});
    const args = tensorsOf(product);
    for (const lead of [
      [3, 4],
      [2, 1, 6],
    ]) {
      const y = loraMatMul({...args, x: tf.reshape(args.x, [...lead, 5])});
      expect(y.shape).to.deep.equal([...lead, 4]);
      await expectClose(y, forward(product).data);
    }
  });

  it('casts int32 and bool', async () => {
    const kernel = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
    await expectClose(loraMatMul({x: tf.tensor2d([[2, -1]], [1, 2], 'int32'), kernel}), [-2, -1, 0]);
    await expectClose(loraMatMul({x: tf.tensor2d([[true, false]], [1, 2], 'bool'), kernel}), [1, 2, 3]);
  });

  it('scales by 1 unless told otherwise', async () => {
    const {scale, ...args} = tensorsOf(randomProduct({rows: 3, inputs: 4, units: 5, rank: 2, bias: false}));
    expect(scale).not.to.equal(1);
    await expectClose(loraMatMul(args), await loraMatMul({...args, scale: 1}).data());
  });

  it('names the argument that does not fit, and its value', () => {
    const {x, kernel} = tensorsOf(randomProduct({rows: 3, inputs: 4, units: 5, rank: 0, bias: false}));
    const [loraA, loraB] = [tf.zeros([4, 2]), tf.zeros([2, 5])];
    const fails = (args: Partial<Parameters<typeof loraMatMul>[0]>, message: string) =>
      expect(() => loraMatMul({x, kernel, ...args})).to.throw(`loraMatMul: ${message}`);
    const matrix = (name: string, wanted: string, is: string) =>
      `${name} must be a float32 matrix [${wanted}], but is ${is}`;
    fails({kernel: tf.zeros([4])}, matrix('kernel', 'any, any', 'float32 of shape [4]'));
    fails({kernel: tf.zeros([4, 5], 'int32')}, matrix('kernel', 'any, any', 'int32 of shape [4,5]'));
    fails({bias: tf.zeros([4])}, 'bias must be a float32 vector [5], but is float32 of shape [4]');
    fails({bias: tf.zeros([1, 5])}, 'bias must be a float32 vector [5], but is float32 of shape [1,5]');
    fails({loraA}, 'loraA and loraB go together');
    fails({loraB}, 'loraA and loraB go together');
    fails({loraA: tf.zeros([3, 2]), loraB}, matrix('loraA', '4, any', 'float32 of shape [3,2]'));
    fails({loraA, loraB: tf.zeros([3, 5])}, matrix('loraB', '2, 5', 'float32 of shape [3,5]'));
    fails({loraA, loraB: tf.zeros([2, 4])}, matrix('loraB', '2, 5', 'float32 of shape [2,4]'));
    fails({x: tf.zeros([4])}, 'x must have shape [..., 4] and rank ≥ 2, but its shape is [4]');
    fails({x: tf.zeros([2, 3, 5])}, 'x must have shape [..., 4] and rank ≥ 2, but its shape is [2,3,5]');
    const dtype = 'x must be a float32, int32 or bool tensor, but its dtype is';
    fails({x: tf.tensor2d([['a', 'b', 'c', 'd']])}, `${dtype} string`);
    if (tf.getKernel(tf.Complex, backend) != null) {
      fails({x: tf.complex(tf.zeros([1, 4]), tf.zeros([1, 4]))}, `${dtype} complex64`);
    }
    const gradient = new ActivationGradient({}, {transposed: true});
    fails({gradient}, 'gradient must not be one for a transposed kernel');
  });
});
