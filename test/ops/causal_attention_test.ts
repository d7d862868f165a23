import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import fc from 'fast-check';
import {causalAttention} from '../../src/index.ts';
import {runKernel} from '../../src/kernels/register.ts';
import {CausalAttention} from '../../src/kernels/transformer_kernel_names.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import * as reference from '../reference/transformer.ts';
import {ATTENTION_SIZES, attentionOperands, attentionTitle, segmentsOf, sizesOf} from './attention.ts';
import {random, tensorOf} from './values.ts';

type Three = [tf.Tensor, tf.Tensor, tf.Tensor];

async function check(sizes: reference.AttentionSizes, packed: boolean, seed: number): Promise<void> {
  const operands = attentionOperands(sizes, seed);
  const ids = packed ? segmentsOf(sizes, seed) : undefined;
  const segments = ids && tf.tensor2d(ids, [sizes.batch, sizes.t], 'int32');
  const tensors = operands.map(tensorOf) as Three;
  const y = causalAttention(...tensors, {...sizes, segments});
  expect(y.shape).to.deep.equal(operands[0].shape);
  const [q, k, v] = operands;
  const options = ids ? {segments: ids} : {};
  await expectClose(y, reference.causalAttention([q.values, k.values, v.values], sizes, options).y);
}

describeWithShaders('causalAttention', (backend) => {
  for (const sizes of ATTENTION_SIZES) {
    it(`equals the formula, with segments and without: ${attentionTitle(sizes)}`, async () => {
      await check(sizes, false, 1);
      await check(sizes, true, 2);
    });
  }

  it('equals the formula for any sizes', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          batch: fc.integer({min: 1, max: 3}),
          t: fc.integer({min: 1, max: 9}),
          numKvHeads: fc.integer({min: 1, max: 3}),
          group: fc.integer({min: 1, max: 3}),
          headDim: fc.integer({min: 1, max: 9}),
        }),
        fc.boolean(),
        fc.integer({min: 1, max: 1e6}),
        ({batch, t, numKvHeads, group, headDim}, packed, seed) =>
          check(sizesOf(batch, t, group * numKvHeads, numKvHeads, headDim), packed, seed),
      ),
      {seed: 20250203, numRuns: backend === 'webgpu' ? 6 : 40},
    ));

  it('has as many heads of k and v as of q, and the scale 1/√headDim, unless told otherwise', async () => {
    const sizes = sizesOf(1, 5, 2, 2, 4);
    const [q, k, v] = attentionOperands(sizes, 1).map(tensorOf) as Three;
    const y = await causalAttention(q, k, v, {numHeads: 2, numKvHeads: 2, scale: 0.5}).data();
    await expectClose(causalAttention(q, k, v, {numHeads: 2}), y);
  });

  it('scales the scores', async () => {
    const sizes = sizesOf(1, 5, 2, 1, 4);
    const [q, k, v] = attentionOperands(sizes, 1);
    const y = causalAttention(tensorOf(q), tensorOf(k), tensorOf(v), {...sizes, scale: 2});
    await expectClose(y, reference.causalAttention([q.values, k.values, v.values], sizes, {scale: 2}).y);
  });

  it('gives what comes before the same values, whatever comes after', async () => {
    const sizes = sizesOf(1, 7, 2, 1, 4);
    const [q, k, v] = attentionOperands(sizes, 1).map(tensorOf) as Three;
    const start = (x: tf.Tensor) => tf.slice(x, [0, 0, 0], [-1, 4, -1]);
    const y = causalAttention(start(q), start(k), start(v), sizes);
    await expectClose(start(causalAttention(q, k, v, sizes)), await y.data(), 1e-6);
  });

  it('gives each of two packed texts what it has alone, after padding on the left', async () => {
    const sizes = sizesOf(1, 9, 2, 1, 4);
    const tensors = attentionOperands(sizes, 1).map(tensorOf) as Three;
    const segments = tf.tensor2d([[-1, -1, 7, 7, 7, 3, 3, 3, 3]], [1, 9], 'int32');
    const packed = causalAttention(...tensors, {...sizes, segments});
    for (const [from, length] of [
      [2, 3],
      [5, 4],
    ] as const) {
      const part = (x: tf.Tensor) => tf.slice(x, [0, from, 0], [-1, length, -1]);
      const alone = causalAttention(...(tensors.map(part) as Three), sizes);
      await expectClose(part(packed), await alone.data(), 1e-6);
    }
  });

  it('takes large scores, of either sign', async () => {
    const sizes = sizesOf(1, 6, 2, 1, 3);
    const [q, k, v] = [
      random([1, 6, 6], 1, {deviation: 60}),
      random([1, 6, 3], 2, {deviation: 60}),
      random([1, 6, 3], 3),
    ];
    const y = causalAttention(tensorOf(q), tensorOf(k), tensorOf(v), sizes);
    await expectClose(y, reference.causalAttention([q.values, k.values, v.values], sizes).y);
  });

  it("'s kernel gives log Σ exp of the scores besides", async () => {
    for (const sizes of ATTENTION_SIZES) {
      const {numHeads, numKvHeads, headDim, batch, t} = sizes;
      const operands = attentionOperands(sizes, 1);
      const attrs = {numHeads, numKvHeads, scale: 1 / Math.sqrt(headDim)};
      const [, logSumExp] = runKernel<tf.Tensor[]>(CausalAttention, operands.map(tensorOf), attrs);
      expect(logSumExp!.shape).to.deep.equal([batch, numHeads, t]);
      const [q, k, v] = operands;
      const expected = reference.causalAttention([q.values, k.values, v.values], sizes).logSumExp;
      await expectClose(logSumExp!, expected);
    }
  });

  it('leaves no tensor behind', () => {
    const sizes = sizesOf(2, 5, 4, 2, 3);
    const tensors = attentionOperands(sizes, 1).map(tensorOf) as Three;
    const segments = tf.zeros([2, 5], 'int32');
    return expectNoLeaks(() => {
      causalAttention(...tensors, sizes).dispose();
      causalAttention(...tensors, {...sizes, segments}).dispose();
    });
  });

  it('names the argument that does not fit, and its value', () => {
    const [q, k] = [tf.ones([2, 3, 8]), tf.ones([2, 3, 4])];
    const fails = (f: () => unknown, message: string) => expect(f).to.throw(`causalAttention: ${message}`);
    const options = {numHeads: 4, numKvHeads: 2};
    fails(() => causalAttention(q, k, k, {numHeads: 0}), 'numHeads must be an integer ≥ 1, but is 0');
    fails(
      () => causalAttention(q, k, k, {numHeads: 4, numKvHeads: 1.5}),
      'numKvHeads must be an integer ≥ 1, but is 1.5',
    );
    fails(
      () => causalAttention(q, k, k, {numHeads: 4, numKvHeads: 3}),
      'numKvHeads must divide numHeads 4, but is 3',
    );
    fails(
      () => causalAttention(q, k, k, {...options, scale: -1}),
      'scale must be a finite number > 0, but is -1',
    );
    fails(
      () => causalAttention(tf.ones([3, 8]), k, k, options),
      'q must be float32 of shape [any, any, any], but is float32 of shape [3,8]',
    );
    fails(
      () => causalAttention(q, k, k, {numHeads: 3}),
      'q must have 3 heads of one size, but its shape is [2,3,8]',
    );
    fails(
      () => causalAttention(q, q, k, options),
      'k must be float32 of shape [2, 3, 4], but is float32 of shape [2,3,8]',
    );
    fails(
      () => causalAttention(q, k, tf.ones([2, 4, 4]), options),
      'v must be float32 of shape [2, 3, 4], but is float32 of shape [2,4,4]',
    );
    fails(
      () => causalAttention(q, k, k, {...options, segments: tf.ones([2, 3])}),
      'segments must be int32 of shape [2, 3], but is float32 of shape [2,3]',
    );
  });
});
