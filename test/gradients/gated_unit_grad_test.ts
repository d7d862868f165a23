import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {type GateActivation, gatedUnit} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {onDevice} from '../ops/profile.ts';
import {random, tensorOf} from '../ops/values.ts';
import * as reference from '../reference/transformer.ts';
import {expectGradients, type Fused, kernelCounts, uploadsOf, variableOf} from './fused.ts';

const PLAIN = {
  silu: (x: tf.Tensor) => tf.mul(x, tf.sigmoid(x)),
  gelu: (x: tf.Tensor) => {
    const u = tf.mul(tf.add(x, tf.mul(tf.mul(tf.mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(u), 1));
  },
};

const unit = (shape: number[], activation: GateActivation): Fused => ({
  operands: [random(shape, 1, {deviation: 2}), random(shape, 2)],
  op: (gate, up) => gatedUnit(gate!, up!, {activation}),
  plain: (gate, up) => tf.mul(PLAIN[activation](gate!), up!),
  formula: (gate, up) => reference.gatedUnit(gate!, up!, activation),
});

describeWithShaders('gradient of gatedUnit', (backend) => {
  onDevice(backend);

  for (const activation of ['silu', 'gelu'] as const) {
    it(`equals differences and autodiff: ${activation}`, async () => {
      for (const shape of [[6, 16], [5, 123], [1], [2, 1, 3, 1]]) {
        await expectGradients(unit(shape, activation));
      }
    });

    it(`is 0 or up far from 0: ${activation}`, async () => {
      const gate = tf.tensor1d([-1e6, -200, 200, 1e6]);
      const dGate = tf.grad((gate: tf.Tensor) => gatedUnit(gate, tf.fill([4], 2), {activation}))(gate);
      await expectClose(dGate, [0, 0, 2, 2]);
    });
  }

  it('leaves no tensor behind', () => {
    const {operands, op} = unit([3, 7], 'gelu');
    const tensors = operands.map(tensorOf);
    return expectNoLeaks(() => tf.dispose(tf.grads(op)(tensors)));
  });

  it('makes no arrays in JavaScript', () => {
    for (const activation of ['silu', 'gelu'] as const) {
      expect(uploadsOf(unit([4, 41], activation))).to.deep.equal([]);
    }
  });

  it('is one kernel for both operands', async function () {
    // the profiler reads every result, which WebGPU in Node cannot
    if (backend === 'webgpu') this.skip();
    const {operands, op} = unit([3, 7], 'silu');
    const [gate, up] = operands.map((operand) => variableOf(operand)) as [tf.Variable, tf.Variable];
    expect(await kernelCounts(() => op(gate, up), [gate, up])).to.include({GatedUnit: 1, GatedUnitGrad: 1});
  });
});
