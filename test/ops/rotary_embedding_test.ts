import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import fc from 'fast-check';
import {type RotaryPairing, rotaryEmbedding} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import * as reference from '../reference/transformer.ts';
import {random, tensorOf} from './values.ts';

interface Sizes {
  batch: number;
  t: number;
  heads: number;
  pairs: number;
}

const sizes = (batch: number, t: number, heads: number, pairs: number): Sizes => ({batch, t, heads, pairs});

/** Ordinary, odd and degenerate ones. */
const SIZES = [
  sizes(2, 6, 3, 4),
  sizes(3, 5, 41, 3),
  sizes(1, 1, 1, 1),
  sizes(1, 9, 1, 61),
  sizes(2, 1, 2, 2),
];

async function check({batch, t, heads, pairs}: Sizes, pairing: RotaryPairing, seed: number): Promise<void> {
  const width = 2 * heads * pairs;
  const x = random([batch, t, width], seed);
  const turns = reference.angles(t, pairs);
  const tables = [Math.cos, Math.sin].map((f) => tf.tensor2d(turns.map(f), [t, pairs])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  const y = rotaryEmbedding(tensorOf(x), ...tables, {pairing});
  expect(y.shape).to.deep.equal(x.shape);
  await expectClose(y, reference.rotaryEmbedding(x.values, t, width, turns, pairing));
}

describeWithShaders('rotaryEmbedding', (backend) => {
  for (const size of SIZES) {
    for (const pairing of ['half', 'interleaved'] as const) {
      it(`equals the formula: ${Object.values(size).join('×')}, ${pairing}`, () => check(size, pairing, 1));
    }
  }

  it('equals the formula for any sizes', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          batch: fc.integer({min: 1, max: 4}),
          t: fc.integer({min: 1, max: 9}),
          heads: fc.integer({min: 1, max: 5}),
          pairs: fc.integer({min: 1, max: 7}),
        }),
        fc.constantFrom('half', 'interleaved'),
        fc.integer({min: 1, max: 1e6}),
        (size, pairing, seed) => check(size, pairing, seed),
      ),
      {seed: 20250203, numRuns: backend === 'webgpu' ? 6 : 40},
    ));

  it('turns halves unless told otherwise, and leaves the first token as it is', async () => {
    const x = tf.tensor3d([1, 2, 3, 4, 1, 2, 3, 4], [1, 2, 4]);
    const [cos, sin] = [tf.tensor2d([1, 1, 0, 0], [2, 2]), tf.tensor2d([0, 0, 1, 1], [2, 2])];
    await expectClose(rotaryEmbedding(x, cos, sin), [1, 2, 3, 4, -3, -4, 1, 2]);
    await expectClose(rotaryEmbedding(x, cos, sin, {pairing: 'interleaved'}), [1, 2, 3, 4, -2, 1, -4, 3]);
  });

  it('leaves no tensor behind', () => {
    const [x, table] = [tf.ones([2, 3, 8]), tf.ones([3, 2])];
    return expectNoLeaks(() => rotaryEmbedding(x, table, table).dispose());
  });

  it('names the argument that does not fit, and its value', () => {
    const [x, table] = [tf.ones([2, 3, 8]), tf.ones([3, 2])];
    const fails = (f: () => unknown, message: string) => expect(f).to.throw(`rotaryEmbedding: ${message}`);
    fails(
      () => rotaryEmbedding(tf.ones([3, 8]), table, table),
      'x must be float32 of shape [any, any, any], but is float32 of shape [3,8]',
    );
    fails(
      () => rotaryEmbedding(x, tf.ones([4, 2]), table),
      'cos must be float32 of shape [3, any], but is float32 of shape [4,2]',
    );
    fails(
      () => rotaryEmbedding(x, table, tf.ones([3, 4])),
      'sin must be float32 of shape [3, 2], but is float32 of shape [3,4]',
    );
    fails(
      () => rotaryEmbedding(x, tf.ones([3, 3]), tf.ones([3, 3])),
      'x must have heads of 6 numbers, twice the columns of cos, but its shape is [2,3,8]',
    );
    fails(
      () => rotaryEmbedding(x, table, table, {pairing: 'quarter' as RotaryPairing}),
      "pairing must be one of 'half', 'interleaved', but is 'quarter'",
    );
  });
});
