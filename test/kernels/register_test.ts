import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {columnScores, selectColumns} from '../../src/index.ts';
import * as names from '../../src/kernels/kernel_names.ts';
import {registerPortableKernels} from '../../src/kernels/portable/register.ts';
import {runKernel} from '../../src/kernels/register.ts';
import * as training from '../../src/kernels/training_kernel_names.ts';
import * as transformer from '../../src/kernels/transformer_kernel_names.ts';
import {describeBackends, expectClose} from '../backends.ts';

describeBackends('kernels', (backend) => {
  it('are all there once one of them has run', () => {
    selectColumns(tf.tensor1d([1, 2]), 1);
    for (const name of Object.values({...names, ...training, ...transformer})) {
      expect(tf.getKernel(name, backend), name).to.have.property('backendName', backend);
    }
  });

  it("leave a backend's own kernel in place", async () => {
    registerPortableKernels(backend);
    const portable = tf.getKernel(names.ColumnScores, backend);
    tf.unregisterKernel(names.ColumnScores, backend);
    const own: tf.KernelConfig = {...portable, kernelFunc: ({inputs}) => tf.neg(inputs.norms as tf.Tensor)};
    tf.registerKernel(own);
    try {
      registerPortableKernels(backend);
      await expectClose(columnScores(tf.ones([2, 3]), tf.tensor1d([1, 2, 3])), [-1, -2, -3]);
    } finally {
      tf.unregisterKernel(names.ColumnScores, backend);
      tf.registerKernel(portable);
    }
    await expectClose(columnScores(tf.ones([1, 3]), tf.tensor1d([1, 2, 3])), [1, 2, 3]);
  });

  it('take inputs that are undefined for absent', async () => {
    const inputs = {dy: tf.ones([1, 2]), kernel: tf.ones([3, 2]), loraA: undefined, loraDy: undefined};
    await expectClose(runKernel<tf.Tensor>(names.ActivationGrad, inputs, {transposed: false}), [2, 2, 2]);
  });
});
