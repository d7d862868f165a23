import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {product} from '../../src/ops/product.ts';
import {randomStream} from '../../src/random.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {matMul, randomMatrix, transpose} from '../reference/matrix.ts';
import {tensorOf} from './tensors.ts';

describeBackends('product', (backend) => {
  const SIZES = [
    [3, 4, 5],
    [1, 1, 1],
    [2, 31, 3],
    [31, 3, 2],
    [5, 123, 123],
  ] as const;

  it('equals the formula with every combination of transposes', async () => {
    const random = randomStream(1);
    for (const [n, k, m] of SIZES) {
      const [a, b] = [randomMatrix(n, k, random), randomMatrix(k, m, random)];
      const expected = matMul(a, b).data;
      for (const [transposeA, transposeB] of [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ] as const) {
        const left = tensorOf(transposeA ? transpose(a) : a);
        const right = tensorOf(transposeB ? transpose(b) : b);
        const result = product(left, right, transposeA, transposeB);
        expect(result.shape).to.deep.equal([n, m]);
        await expectClose(result, expected);
      }
    }
  });

  it('multiplies matrices by pairs', async () => {
    const random = randomStream(2);
    for (const [n, k, m] of SIZES.slice(0, 4)) {
      const pairs = [0, 1].map(() => [randomMatrix(n, k, random), randomMatrix(k, m, random)] as const);
      const expected = pairs.flatMap(([a, b]) => Array.from(matMul(a, b).data));
      for (const transposeA of [false, true]) {
        for (const transposeB of [false, true]) {
          const left = tf.stack(pairs.map(([a]) => tensorOf(transposeA ? transpose(a) : a)));
          const right = tf.stack(pairs.map(([, b]) => tensorOf(transposeB ? transpose(b) : b)));
          const result = product<tf.Tensor3D>(left, right, transposeA, transposeB);
          expect(result.shape).to.deep.equal([2, n, m]);
          await expectClose(result, expected);
        }
      }
    }
  });

  it('hands wasm no transposed operand', async function () {
    if (backend !== 'wasm') this.skip();
    const stock = tf.getKernel(tf.BatchMatMul, 'wasm');
    const seen: unknown[] = [];
    tf.unregisterKernel(tf.BatchMatMul, 'wasm');
    tf.registerKernel({
      ...stock,
      kernelFunc(args) {
        seen.push(args.attrs?.transposeA, args.attrs?.transposeB);
        return stock.kernelFunc(args);
      },
    });
    try {
      product(tf.ones([5, 3]), tf.ones([5, 2]), true, false);
      product(tf.ones([50, 40]), tf.ones([50, 2]), true, false);
      product(tf.ones([3, 5]), tf.ones([2, 5]), false, true);
      product(tf.ones([5, 3]), tf.ones([2, 5]), true, true);
    } finally {
      tf.unregisterKernel(tf.BatchMatMul, 'wasm');
      tf.registerKernel(stock);
    }
    expect(seen).to.deep.equal(Array(8).fill(false));
  });
});
