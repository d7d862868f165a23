import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {ActivationGradient} from '../../src/index.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../backends.ts';
import {dyOf, expectedDx, FROZEN_RANK, kernelMatrix, pass, variableOf} from './passes.ts';

const options = {keep: 0.25, frozenRank: FROZEN_RANK, refreshEvery: 4, exactEvery: 0};

describeBackends("ActivationGradient's memory", (backend) => {
  it('is all freed by dispose, which may come twice, and it can be used again', async () => {
    const [w, dy] = [kernelMatrix(1), dyOf(0)];
    for (const trainable of [false, true]) {
      const kernel = variableOf(w, trainable);
      const gradient = new ActivationGradient(options);
      for (let i = 0; i < 2; i++) {
        await expectNoLeaks(() => {
          pass(gradient, kernel, dy).dispose();
          expect(gradient.indices?.isDisposed).to.equal(false);
          gradient.dispose();
          gradient.dispose();
          expect(gradient.indices).to.equal(undefined);
        });
      }
      const dx = pass(gradient, kernel, dy);
      await expectClose(dx, await expectedDx(gradient, w, dy, !trainable));
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
    it(`does not grow over passes with refreshes and assignments: ${what}`, async () => {
      const dy = dyOf(0);
      const kernel = variableOf(kernelMatrix(1), trainable);
      const gradient = new ActivationGradient(config);
      pass(gradient, kernel, dy).dispose();
      const passes = backend === 'webgpu' ? 20 : 200;
      await expectNoLeaks(() => {
        for (let i = 0; i < passes; i++) {
          if (i % 50 === 9) tf.tidy(() => kernel.assign(tf.mul(kernel, 1.5)));
          pass(gradient, kernel, dy).dispose();
        }
      });
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
    const [w, dy] = [kernelMatrix(1), dyOf(0)];
    await tf.setBackend('cpu');
    const kernel = variableOf(w, false);
    const gradient = new ActivationGradient({...options, refreshEvery: 100});
    await expectNoLeaks(async () => {
      for (const [i, backend] of ['cpu', 'wasm', 'cpu'].entries()) {
        await tf.setBackend(backend);
        for (let again = 0; again < 2; again++) {
          const dx = pass(gradient, kernel, dy);
          await expectClose(dx, await expectedDx(gradient, w, dy));
          dx.dispose();
        }
        expect(gradient.stats.refreshes).to.equal(i + 1);
      }
      gradient.dispose();
    });
    kernel.dispose();
  });
});
