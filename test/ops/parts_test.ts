import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  ActivationGradient,
  embeddingLookup,
  type HalfFormat,
  largestTensor,
  linearCrossEntropy,
  packHalf,
  type Weights,
} from '../../src/index.ts';
import {usesOwnOps} from '../../src/kernels/tensorflow/register.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {linearCrossEntropy as reference} from '../reference/cross_entropy.ts';
import {nearestMatrix, unitRoundoff} from '../reference/half.ts';
import {at, type Matrix, matrix, randomMatrix, transpose} from '../reference/matrix.ts';
import {tensorOf} from './tensors.ts';

const ROWS = 7;
const [CLASSES, WIDTH] = [57, 33];
const int32 = (values: number[]) => tf.tensor1d(values, 'int32');

/** A table's rows in parts of so many, the last as long as is left. */
const partsOf = (table: Matrix, most: number): Matrix[] =>
  Array.from({length: Math.ceil(table.rows / most)}, (_, part) => {
    const count = Math.min(most, table.rows - part * most);
    return matrix(count, table.columns, (i, j) => at(table, part * most + i, j));
  });

describeWithShaders('matrices in parts', (backend) => {
  for (const format of [undefined, 'float16', 'bfloat16'] as const) {
    const weightsOf = (part: Matrix): Weights =>
      format ? packHalf(tensorOf(part), format as HalfFormat) : tensorOf(part);
    const random = randomStream(1);
    const table = randomMatrix(CLASSES, WIDTH, random, 0.3);
    const rounded = format ? nearestMatrix(table, format) : table;
    const ids = [0, 56, 19, 20, 38, 39, 0, 21];

    for (const most of [57, 20, 19, 1]) {
      it(`embeddingLookup finds a row in whichever part it is: ${format ?? 'float32'}, parts of ${most}`, async () => {
        const parts = partsOf(table, most).map(weightsOf);
        const found = embeddingLookup(parts, tf.tensor(ids, [2, 4], 'int32'));
        expect(found.shape).to.deep.equal([2, 4, WIDTH]);
        await expectClose(found, matrix(ids.length, WIDTH, (i, j) => at(rounded, ids[i]!, j)).data, 0);
      });
    }

    for (const [most, transposed] of [
      [57, true],
      [20, true],
      [20, false],
      [1, false],
    ] as const) {
      const title = `${format ?? 'float32'}, parts of ${most}, ${transposed ? 'a table' : 'a kernel'}`;
      it(`linearCrossEntropy and the gradients of x and bias equal the formula: ${title}`, async () => {
        const x = randomMatrix(ROWS, WIDTH, random);
        const bias = randomMatrix(1, CLASSES, random);
        const labels = Array.from({length: ROWS}, (_, i) => (17 * i) % CLASSES);
        const expected = reference({x, kernel: transpose(rounded), bias}, labels);
        const kernel = partsOf(table, most).map((part) => weightsOf(transposed ? part : transpose(part)));
        const variables = {x: tf.variable(tensorOf(x)), bias: tf.variable(tf.tensor1d([...bias.data]))};
        for (const chunkBytes of [1e9, 12 * CLASSES]) {
          const {value, grads} = tf.variableGrads(
            () => linearCrossEntropy({...variables, kernel, transposed, labels: int32(labels), chunkBytes}),
            Object.values(variables),
          );
          // our TensorFlow op rounds the other factor to bfloat16 too
          const rounds = backend === 'tensorflow' && format === 'bfloat16' && usesOwnOps();
          const tolerance = rounds ? 4 * unitRoundoff('bfloat16') : 1e-4;
          await expectClose(value, [expected.mean], rounds ? tolerance : 1e-5);
          await expectClose(grads[variables.x.name]!, expected.x.data, tolerance);
          await expectClose(grads[variables.bias.name]!, expected.bias.data, tolerance);
        }
        tf.dispose(Object.values(variables));
      });
    }
  }

  it('leave nothing behind', async () => {
    const kernel = [tf.ones([3, 4]), tf.ones([2, 4])];
    const [x, labels] = [tf.ones([6, 4]), int32([0, 1, 2, 3, 4, 0])];
    await expectNoLeaks(() => embeddingLookup(kernel, labels).dispose());
    await expectNoLeaks(() => {
      const loss = (z: tf.Tensor) => linearCrossEntropy({x: z, kernel, transposed: true, labels});
      tf.dispose(tf.valueAndGrad(loss)(x));
    });
  });

  it('are refused by name where they do not fit', () => {
    const [x, labels] = [tf.ones([2, 3]), int32([0, 1])];
    const bad = (more: object, message: string) =>
      expect(() =>
        linearCrossEntropy({x, labels, kernel: [tf.ones([3, 2]), tf.ones([3, 4])], ...more}),
      ).to.throw(`linearCrossEntropy: ${message}`);
    bad({kernel: []}, 'kernel must have at least one part, but has none');
    bad({kernel: [tf.ones([3, 2]), tf.ones([4, 2])]}, 'kernel must be a float32 matrix [3, any]');
    bad({bias: tf.ones([5])}, 'bias must be a float32 vector [6]');
    bad({trainKernel: true}, 'trainKernel must not be true for a kernel in parts or at half precision');
    bad(
      {gradient: new ActivationGradient({})},
      'gradient must be absent for a kernel in parts, but there are 2',
    );
    expect(() => embeddingLookup([], labels)).to.throw('embeddingLookup: table must have at least one part');
    expect(() => embeddingLookup([tf.ones([2, 3]), tf.ones([2, 4])], labels)).to.throw(
      'embeddingLookup: table must be a float32 matrix [any, 3]',
    );
  });

  it('are wanted where a device says how large a tensor may be', () => {
    const least = tf.getBackend() === 'webgpu' ? 2 ** 27 : Number.POSITIVE_INFINITY;
    expect(largestTensor()).to.be.at.least(least);
  });
});
