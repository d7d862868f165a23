import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {causalAttention, installGradientFixes} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {ATTENTION_SIZES, attentionOperands, attentionTitle, segmentsOf, sizesOf} from '../ops/attention.ts';
import {onDevice} from '../ops/profile.ts';
import {tensorOf} from '../ops/values.ts';
import * as reference from '../reference/transformer.ts';
import {expectGradients, type Fused, kernelCounts, uploadsOf, variableOf} from './fused.ts';

/** Stock ops on each head by itself, of k and v the copies that it needs. */
function plain(
  [q, k, v]: readonly tf.Tensor[],
  {batch, t, numHeads, numKvHeads, headDim}: reference.AttentionSizes,
  hidden: tf.Tensor,
): tf.Tensor {
  const head = (x: tf.Tensor, i: number) =>
    tf.reshape(tf.slice(x, [0, 0, i * headDim], [-1, -1, headDim]), [batch, t, headDim]);
  const heads = Array.from({length: numHeads}, (_, i) => {
    const shared = Math.floor((i * numKvHeads) / numHeads);
    const scores = tf.matMul(head(q!, i), tf.transpose(head(k!, shared), [0, 2, 1]));
    const p = tf.softmax(tf.add(tf.div(scores, Math.sqrt(headDim)), hidden));
    return tf.matMul(p, head(v!, shared));
  });
  return tf.concat(heads, 2);
}

function attention(sizes: reference.AttentionSizes, packed: boolean): Fused {
  const {batch, t} = sizes;
  const ids = packed ? segmentsOf(sizes, 4) : undefined;
  const segments = ids && tf.tensor2d(ids, [batch, t], 'int32');
  const seen = (sequence: number, i: number, j: number) =>
    j <= i && ids?.[sequence * t + i] === ids?.[sequence * t + j];
  const hidden = tf.tensor3d(
    Array.from({length: batch * t * t}, (_, place) =>
      seen(Math.floor(place / t / t), Math.floor(place / t) % t, place % t) ? 0 : -1e9,
    ),
    [batch, t, t],
  );
  return {
    operands: attentionOperands(sizes, 1),
    op: (q, k, v) => causalAttention(q!, k!, v!, {...sizes, segments}),
    plain: (...operands) => plain(operands, sizes, hidden),
    formula: (q, k, v) => reference.causalAttention([q!, k!, v!], sizes, ids ? {segments: ids} : {}).y,
  };
}

describeWithShaders('gradient of causalAttention', (backend) => {
  onDevice(backend);

  for (const sizes of ATTENTION_SIZES) {
    it(`equals differences and autodiff, with segments and without: ${attentionTitle(sizes)}`, async () => {
      await expectGradients(attention(sizes, false));
      await expectGradients(attention(sizes, true));
    });
  }

  it('equals differences with another scale', async () => {
    const sizes = sizesOf(1, 5, 2, 1, 4);
    const {operands, plain, formula} = attention(sizes, false);
    // a scale of 2 is q scaled by 2√headDim
    const scaled = (x: tf.Tensor) => tf.mul(x, 2 * Math.sqrt(4));
    await expectGradients({
      operands,
      op: (q, k, v) => causalAttention(q!, k!, v!, {...sizes, scale: 2}),
      plain: (q, k, v) => plain(scaled(q!), k!, v!),
      formula: (q, k, v) =>
        formula(
          q!.map((value) => 4 * value),
          k!,
          v!,
        ),
    });
  });

  it('is right where one tensor is q, k and v', async () => {
    const sizes = sizesOf(2, 5, 2, 2, 3);
    const {operands, op, plain} = attention(sizes, false);
    const x = tensorOf(operands[0]!);
    const actual = tf.grad((x: tf.Tensor) => op(x, x, x))(x);
    await expectClose(
      actual,
      await tf
        .grad((x: tf.Tensor) => plain(x, x, x))(x)
        .data(),
    );
  });

  it('leaves no tensor behind', () => {
    const fused = [false, true].map((packed) => attention(sizesOf(2, 5, 4, 2, 3), packed));
    const tensors = fused[0]!.operands.map(tensorOf);
    return expectNoLeaks(() => {
      for (const {op} of fused) tf.dispose(tf.grads(op)(tensors));
    });
  });

  it('makes no arrays in JavaScript', () => {
    const fixes = installGradientFixes(); // stock tfjs makes the zeros of an output that leads nowhere
    try {
      for (const packed of [false, true]) {
        const uploads = uploadsOf(attention(sizesOf(2, 9, 3, 1, 24), packed));
        expect(uploads).to.deep.equal([]);
      }
    } finally {
      fixes.dispose();
    }
  });

  it('is one kernel for all operands, and makes no copies of k and v', async function () {
    // the profiler reads every result, which WebGPU in Node cannot
    if (backend === 'webgpu') this.skip();
    const {operands, op} = attention(sizesOf(2, 5, 4, 2, 3), true);
    const variables = operands.map((operand) => variableOf(operand));
    const counts = await kernelCounts(() => op(...variables), variables);
    expect(counts).to.include({CausalAttention: 1, CausalAttentionGrad: 1});
    expect(counts).not.to.have.any.keys(tf.Tile);
  });
});
