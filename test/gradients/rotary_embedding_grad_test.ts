import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {type RotaryPairing, rotaryEmbedding} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {onDevice} from '../ops/profile.ts';
import {random, tensorOf} from '../ops/values.ts';
import * as reference from '../reference/transformer.ts';
import {expectGradients, type Fused, kernelCounts, uploadsOf, variableOf} from './fused.ts';

function rotary(shape: [number, number, number], pairs: number, pairing: RotaryPairing): Fused {
  const [batch, t, width] = shape;
  const turns = reference.angles(t, pairs);
  const [cos, sin] = [Math.cos, Math.sin].map((f) => tf.tensor2d(turns.map(f), [t, pairs])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  return {
    operands: [random(shape, 1)],
    op: (x) => rotaryEmbedding(x!, cos, sin, {pairing}),
    // of each row one product by the matrix of its turns
    plain: (x) => {
      const headDim = 2 * pairs;
      const matrices = Array.from({length: t}, (_, token) => {
        const unit = Array.from({length: headDim}, (_, i) =>
          reference.rotaryEmbedding(
            Array.from({length: headDim}, (_, j) => (i === j ? 1 : 0)),
            1,
            headDim,
            turns.slice(token * pairs, (token + 1) * pairs),
            pairing,
          ),
        );
        return tf.tensor2d(unit.map((row) => Array.from(row)));
      });
      const tokens = matrices.map((matrix, i) => {
        const token = tf.slice(x!, [0, i, 0], [-1, 1, -1]);
        return tf.reshape(tf.matMul(tf.reshape(token, [-1, headDim]), matrix), [batch, 1, width]);
      });
      return tf.concat(tokens, 1);
    },
    formula: (x) => reference.rotaryEmbedding(x!, t, width, turns, pairing),
  };
}

describeWithShaders('gradient of rotaryEmbedding', (backend) => {
  onDevice(backend);

  for (const pairing of ['half', 'interleaved'] as const) {
    it(`equals differences and autodiff, ${pairing}`, async () => {
      await expectGradients(rotary([2, 5, 24], 4, pairing));
      await expectGradients(rotary([1, 1, 2], 1, pairing));
      await expectGradients(rotary([3, 7, 9 * 6], 3, pairing));
    });
  }

  it('of the gradient turns forward again', async () => {
    const {operands, op} = rotary([1, 3, 8], 2, 'half');
    const x = tensorOf(operands[0]!);
    const dy = tensorOf(random([1, 3, 8], 5));
    const twice = tf.grad((dy: tf.Tensor) => tf.grad((x: tf.Tensor) => op(x))(x, dy))(dy, x);
    await expectClose(twice, await op(x).data());
  });

  it('makes no arrays in JavaScript', () => {
    for (const pairing of ['half', 'interleaved'] as const) {
      expect(uploadsOf(rotary([2, 5, 48], 24, pairing))).to.deep.equal([]);
    }
  });

  it('is one kernel, the same, and leaves no tensor behind', async function () {
    const {operands, op} = rotary([1, 3, 8], 2, 'half');
    const x = variableOf(operands[0]!);
    await expectNoLeaks(() => tf.dispose(tf.grad((x: tf.Tensor) => op(x))(x)));
    // the profiler reads every result, which WebGPU in Node cannot
    if (backend === 'webgpu') this.skip();
    expect(await kernelCounts(() => op(x), [x])).to.include({RotaryEmbedding: 2});
  });
});
