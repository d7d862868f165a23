import * as tf from '@tensorflow/tfjs-core';
import {runKernel} from '../../src/kernels/register.ts';
import type {TensorFlowBackend} from '../../src/kernels/tensorflow/backend.ts';
import {TF32_FLAG} from '../../src/kernels/tensorflow/products.ts';
import * as names from '../../src/kernels/transformer_kernel_names.ts';
import {describeOwn, expectClose} from '../backends.ts';
import {attentionOperands, attentionTitle, segmentsOf, sizesOf} from '../ops/attention.ts';
import {random, tensorOf} from '../ops/values.ts';
import * as reference from '../reference/transformer.ts';
import {withFlag} from '../support/flags.ts';

type Tensors = tf.Tensor[];

/** What attention in TF32 may be off by: factors have 11 bits. On the CPU they keep all of theirs. */
const TF32_ERROR = 2e-3;

async function check(sizes: reference.AttentionSizes, packed: boolean, tolerance: number): Promise<void> {
  const {batch, t, numHeads, numKvHeads, headDim} = sizes;
  const operands = attentionOperands(sizes, 3);
  const values = operands.map((operand) => operand.values) as [Float64Array, Float64Array, Float64Array];
  const dy = random(operands[0].shape, 4);
  const ids = packed ? segmentsOf(sizes, 5).map((id, i) => (i % 40 < 35 ? 7 : id)) : undefined;
  const options = ids ? {segments: ids} : {};
  const segments = ids && tf.tensor2d(ids, [batch, t], 'int32');
  const [q, k, v] = operands.map(tensorOf) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const attrs = {numHeads, numKvHeads, scale: 1 / Math.sqrt(headDim)};
  const inputs = segments ? [q, k, v, segments] : [q, k, v];
  const [y, logSumExp] = runKernel<Tensors>(names.CausalAttention, inputs, attrs);
  const expected = reference.causalAttention(values, sizes, options);
  await expectClose(y!, expected.y, tolerance);
  await expectClose(logSumExp!, expected.logSumExp, tolerance);
  const gradients = runKernel<Tensors>(
    names.CausalAttentionGrad,
    {dy: tensorOf(dy), q, k, v, y, logSumExp, segments},
    attrs,
  );
  for (const [i, gradient] of reference.causalAttentionGrad(dy.values, values, sizes, options).entries()) {
    await expectClose(gradients[i]!, gradient, tolerance);
  }
}

const isUsingGpu = () => (tf.backend() as TensorFlowBackend).isUsingGpuDevice;

/** Products of the backend tensorflow on a GPU in TF32, or not. */
const withTf32 = (tf32: boolean, run: () => Promise<void>) =>
  tf.getBackend() === 'tensorflow' ? withFlag(TF32_FLAG, tf32, run) : run();

describeOwn('attention in tiles', (backend) => {
  /** More tokens than a tile has rows or columns; heads of both widths of tiles, whole slices of 16 and parts of them. */
  const SIZES = [
    {sizes: sizesOf(1, 130, 4, 2, 64), packed: false},
    {sizes: sizesOf(2, 97, 3, 1, 36), packed: true},
    {sizes: sizesOf(1, 150, 2, 1, 128), packed: false},
    {sizes: sizesOf(1, 140, 1, 1, 81), packed: true},
    {sizes: sizesOf(1, 5, 2, 1, 130), packed: false},
  ];
  for (const {sizes, packed} of SIZES) {
    const title = `${attentionTitle(sizes)}${packed ? ', with segments' : ''}`;
    it(`equals the formulas: ${title}`, () => withTf32(false, () => check(sizes, packed, 1e-5)));
    if (backend === 'tensorflow') {
      it(`equals the formulas in TF32: ${title}`, () =>
        withTf32(true, () => check(sizes, packed, isUsingGpu() ? TF32_ERROR : 1e-5)));
    }
  }

  it('takes large scores over several tiles, the largest of a row in any of them', async () => {
    const sizes = sizesOf(1, 130, 1, 1, 64);
    const [q, k, v] = [1, 2, 3].map((seed) => random([1, 130, 64], seed, {deviation: seed < 3 ? 10 : 1})) as [
      ReturnType<typeof random>,
      ReturnType<typeof random>,
      ReturnType<typeof random>,
    ];
    const attrs = {numHeads: 1, numKvHeads: 1, scale: 1 / 8};
    const [y] = runKernel<Tensors>(names.CausalAttention, [q, k, v].map(tensorOf), attrs);
    await expectClose(y!, reference.causalAttention([q.values, k.values, v.values], sizes).y);
  });
});
