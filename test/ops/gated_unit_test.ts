import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import fc from 'fast-check';
import {type GateActivation, gatedUnit} from '../../src/index.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import * as reference from '../reference/transformer.ts';
import {random, tensorOf} from './values.ts';

async function check(shape: number[], activation: GateActivation, seed: number): Promise<void> {
  const [gate, up] = [random(shape, seed, {deviation: 3}), random(shape, seed + 1)];
  const y = gatedUnit(tensorOf(gate), tensorOf(up), {activation});
  expect(y.shape).to.deep.equal(shape);
  await expectClose(y, reference.gatedUnit(gate.values, up.values, activation), 1e-5);
}

describeWithShaders('gatedUnit', (backend) => {
  for (const activation of ['silu', 'gelu'] as const) {
    for (const shape of [[6, 32], [5, 3, 123], [1], [2, 1, 3, 1]]) {
      it(`equals the formula: ${activation}, [${shape}]`, () => check(shape, activation, 1));
    }

    it(`equals the formula for any shape: ${activation}`, () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({min: 1, max: 17}), {minLength: 1, maxLength: 4}),
          fc.integer({min: 1, max: 1e6}),
          (shape, seed) => check(shape, activation, seed),
        ),
        {seed: 20250203, numRuns: backend === 'webgpu' ? 6 : 40},
      ));

    it(`is 0 or linear far from 0: ${activation}`, async () => {
      const gate = tf.tensor1d([-1e6, -200, 0, 200, 1e6]);
      await expectClose(gatedUnit(gate, tf.fill([5], 2), {activation}), [0, 0, 0, 400, 2e6]);
    });
  }

  it('is within 5e-4 of the GELU of the error function', async () => {
    const x = tf.linspace(-5, 5, 101);
    const exact = Array.from(await tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1)).data());
    const y = await gatedUnit(x, tf.ones([101]), {activation: 'gelu'}).data();
    for (const [i, value] of exact.entries()) expect(y[i]).to.be.closeTo(value, 5e-4);
  });

  it('takes silu unless told otherwise', async () => {
    const [gate, up] = [random([4], 1), random([4], 2)];
    const expected = reference.gatedUnit(gate.values, up.values, 'silu');
    await expectClose(gatedUnit(tensorOf(gate), tensorOf(up)), expected);
  });

  it('leaves no tensor behind', () => {
    const gate = tf.ones([2, 3]);
    return expectNoLeaks(() => {
      gatedUnit(gate, gate).dispose();
      gatedUnit(gate, gate, {activation: 'gelu'}).dispose();
    });
  });

  it('names the argument that does not fit, and its value', () => {
    const gate = tf.ones([2, 3]);
    const fails = (f: () => unknown, message: string) => expect(f).to.throw(`gatedUnit: ${message}`);
    fails(
      () => gatedUnit(tf.ones([2, 3], 'int32'), gate),
      'gate must be float32 of shape [2, 3], but is int32 of shape [2,3]',
    );
    fails(
      () => gatedUnit(gate, tf.ones([3])),
      'up must be float32 of shape [2, 3], but is float32 of shape [3]',
    );
    fails(
      () => gatedUnit(gate, gate, {activation: 'relu' as GateActivation}),
      "activation must be one of 'silu', 'gelu', but is 'relu'",
    );
  });
});
