import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {fixStepKernel, step} from '../../../src/gradients/fixes/step_kernel.ts';
import {describeBackends} from '../../backends.ts';
import {uploadsIn} from '../../support/uploads.ts';

const VALUES = [-2, -1e-30, -0, 0, 1e-30, 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];

describeBackends('the Step kernel for backend tensorflow', (backend) => {
  for (const alpha of [0, -1, 0.25]) {
    it(`gives what tf.step gives and uploads no more than scalars: alpha ${alpha}`, async () => {
      const x = tf.tile(tf.tensor1d(VALUES), [3]);
      const expected = VALUES.map((value) => (Number.isNaN(value) ? value : value > 0 ? 1 : alpha));
      const uploads = uploadsIn(() => step(x, alpha));
      // WebGPU computes with so small a tensor in JavaScript
      if (backend !== 'webgpu') expect(uploads).to.deep.equal([]);
      expect(await step(x, alpha).data()).to.deep.equal(
        Float32Array.from([...expected, ...expected, ...expected]),
      );
    });
  }
});

describe('fixStepKernel', () => {
  it('does nothing without that backend, and exchanges its kernel where it is', () => {
    const present = tf.getKernel(tf.Step, 'tensorflow');
    const stock = present ?? {kernelName: tf.Step, backendName: 'tensorflow', kernelFunc: () => []};
    if (!present) {
      fixStepKernel()();
      expect(tf.getKernel(tf.Step, 'tensorflow')).to.equal(undefined);
      tf.registerKernel(stock);
    }
    try {
      const restore = fixStepKernel();
      expect(tf.getKernel(tf.Step, 'tensorflow')).not.to.equal(stock);
      restore();
      expect(tf.getKernel(tf.Step, 'tensorflow')).to.equal(stock);
    } finally {
      if (!present) tf.unregisterKernel(tf.Step, 'tensorflow');
    }
  });
});
