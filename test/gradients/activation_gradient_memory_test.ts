import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {ActivationGradient} from '../../src/index.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {dyOf, expectedDx, kernelMatrix, pass, variableOf} from './passes.ts';

const memory = () => {
  const {numTensors, numDataBuffers} = tf.memory();
  return {numTensors, numDataBuffers};
};

const options = {keep: 0.25, frozenRank: 2, refreshEvery: 4};

describeBackends("ActivationGradient's memory", (backend) => {
  it('is all freed by dispose, which may come twice, and it can be used again', async () => {
    const [w, dy] = [kernelMatrix(), dyOf(0)];
    for (const trainable of [false, true]) {
      const kernel = variableOf(w, trainable);
      const gradient = new ActivationGradient(options);
      const start = memory();
      for (let i = 0; i < 2; i++) {
        pass(gradient, kernel, dy).dispose();
        expect(memory().numTensors).to.be.above(start.numTensors);
        gradient.dispose();
        gradient.dispose();
        expect(gradient.indices).to.equal(undefined);
        expect(memory()).to.deep.equal(start);
      }
      const dx = pass(gradient, kernel, dy);
      await expectClose(dx, await expectedDx(gradient, w, dy, trainable ? 0 : 2));
      expect(gradient.stats).to.include({backwardPasses: 3, refreshes: 3});
      gradient.dispose();
    }
  });

  const CASES = [
    {what: 'a frozen kernel', config: options, trainable: false},
    {what: 'a trained kernel', config: options, trainable: true},
    {what: 'sampled rows', config: {axis: 'rows'}, trainable: false},
  ] as const;
  for (const {what, config, trainable} of CASES) {
    it(`does not grow over passes with refreshes and assignments: ${what}`, () => {
      const dy = dyOf(0);
      const kernel = variableOf(kernelMatrix(), trainable);
      const gradient = new ActivationGradient(config);
      pass(gradient, kernel, dy).dispose();
      const start = memory();
      const passes = backend === 'webgpu' ? 20 : 200;
      for (let i = 0; i < passes; i++) {
        if (i % 50 === 9) tf.tidy(() => kernel.assign(tf.mul(kernel, 1.5)));
        pass(gradient, kernel, dy).dispose();
      }
      expect(memory()).to.deep.equal(start);
      expect(gradient.stats.backwardPasses).to.equal(1 + passes);
      gradient.dispose();
    });
  }
});

describe('ActivationGradient from backend to backend', () => {
  // tfjs's leak check takes an operand that moves to another backend inside a kernel of kernels for a leak
  before(() => tf.env().set('IS_TEST', false));
  after(() => tf.env().set('IS_TEST', true));

  it('rebuilds its state on cpu → wasm → cpu, stays right, and is freed on whichever backend', async () => {
    const [w, dy] = [kernelMatrix(), dyOf(0)];
    await tf.setBackend('cpu');
    const kernel = variableOf(w, false);
    const gradient = new ActivationGradient({...options, refreshEvery: 100});
    const start = memory();
    for (const [i, backend] of ['cpu', 'wasm', 'cpu'].entries()) {
      await tf.setBackend(backend);
      for (let again = 0; again < 2; again++) {
        const dx = pass(gradient, kernel, dy);
        await expectClose(dx, await expectedDx(gradient, w, dy, 2));
        dx.dispose();
      }
      expect(gradient.stats.refreshes).to.equal(i + 1);
    }
    gradient.dispose();
    expect(memory()).to.deep.equal(start);
  });
});
