import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {activationGrad, loraMatMul, packHalf} from '../../../src/index.ts';
import type {TensorFlowBackend} from '../../../src/kernels/tensorflow/backend.ts';
import {type Op, runOp} from '../../../src/kernels/tensorflow/run_op.ts';
import {describeOwnOps, expectClose} from '../../backends.ts';
import {randomDy, randomProduct, tensorOf} from '../../ops/tensors.ts';
import {nearestMatrix} from '../../reference/half.ts';
import {exactDx, forward} from '../../reference/lora.ts';
import {watchOps} from '../../support/tensorflow_ops.ts';

// sides that are no multiple of 8, and odd ones
const SIZES = {rows: 37, inputs: 61, units: 123, rank: 0, bias: false};

describeOwnOps('ops of matrices at half precision', () => {
  const product = randomProduct(SIZES);
  const dy = randomDy(SIZES);

  it('multiply in bfloat16 with float32 sums: both factors are rounded, and nothing else', async () => {
    const kernel = packHalf(tensorOf(product.kernel), 'bfloat16');
    const rounded = {
      ...product,
      x: nearestMatrix(product.x, 'bfloat16'),
      kernel: nearestMatrix(product.kernel, 'bfloat16'),
    };
    await expectClose(loraMatMul({x: tensorOf(product.x), kernel}), forward(rounded).data, 1e-6);
    const dx = activationGrad({dy: tensorOf(dy), kernel});
    await expectClose(dx, exactDx(rounded, nearestMatrix(dy, 'bfloat16')).data, 1e-6);
  });

  it('multiply a float16 matrix in float32', async () => {
    const kernel = packHalf(tensorOf(product.kernel), 'float16');
    const rounded = {...product, kernel: nearestMatrix(product.kernel, 'float16')};
    await expectClose(loraMatMul({x: tensorOf(product.x), kernel}), forward(rounded).data, 1e-6);
  });

  it('are one op a product, and hand over no words from JavaScript', async () => {
    const [x, w] = [tensorOf(product.x), tensorOf(product.kernel)];
    const watch = watchOps()!;
    try {
      const kernel = packHalf(w, 'bfloat16');
      watch.reset();
      loraMatMul({x, kernel});
      activationGrad({dy: tensorOf(dy), kernel});
      const ops = watch.ops.map((name) => name.replace(/^Celora\d+/, ''));
      expect(ops).to.deep.equal(['LoRAMatMul', 'ActivationGrad']);
      expect(watch.uploads).to.not.deep.include(kernel.words.shape);
    } finally {
      watch.dispose();
    }
  });

  it('refuse words that do not fit', () => {
    const fails = (op: Op, message: string) =>
      expect(() => runOp(tf.backend() as TensorFlowBackend, op)).to.throw(message);
    const words = tf.zeros([3, 2], 'int32');
    const counts = {transposed: false, tf32: false, precision: 2, columns: 4};
    const gradient = {name: 'ActivationGrad', reals: [tf.ones([2, 4])], integers: [words], counts};
    fails(
      {...gradient, counts: {...counts, columns: 5}},
      'ActivationGrad: kernel must be of shape [any, 4] in words, but is [3, 2] for 5 columns',
    );
    fails({...gradient, counts: {...counts, columns: 2}}, 'but is [3, 2] for 2 columns');
    fails({...gradient, reals: [tf.ones([2, 3])]}, 'kernel must be of shape [any, 3] in words');
    fails({...gradient, integers: []}, 'ActivationGrad: kernel is missing');
    fails({...gradient, counts: {...counts, precision: 3}}, 'precision must be 0, 1 or 2');
    fails({name: 'UnpackHalf', integers: [words], counts: {brain: 1, columns: 0}}, 'for 0 columns');
    if ((tf.backend() as TensorFlowBackend).isUsingGpuDevice) return;
    fails(
      {name: 'LookupHalf', integers: [tf.tensor1d([3], 'int32'), words], counts: {brain: 1, columns: 4}},
      'LookupHalf: ids must be below 3, but has 3',
    );
  });
});
