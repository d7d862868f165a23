import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {BREAK_EVEN_FLAG, breakEven} from '../../src/kernels/break_even.ts';
import {registerWebGPUKernels, usesShaders} from '../../src/kernels/webgpu/register.ts';
import {describeBackends, describeOwn} from '../backends.ts';

/** What was measured, as without the tests' own setting. */
function measured(): number {
  const before = tf.env().getNumber(BREAK_EVEN_FLAG);
  tf.env().set(BREAK_EVEN_FLAG, -1);
  try {
    return breakEven();
  } finally {
    tf.env().set(BREAK_EVEN_FLAG, before);
  }
}

describeOwn('the break-even of approximated gradients with our own kernels', () => {
  it('is none: what saves multiply-adds is approximated', () => {
    expect(measured()).to.equal(0);
  });
});

describeBackends('the break-even of approximated gradients', (backend) => {
  it('is what was measured, or what the flag says', () => {
    // of stock programs on WebGPU; TensorFlow's own is that of a GPU, which CI has not
    if (backend === 'webgpu') {
      registerWebGPUKernels();
      expect(measured()).to.equal(usesShaders() ? 0 : 1e6);
    } else if (backend !== 'tensorflow') {
      expect(measured()).to.equal(0);
    }
    const before = tf.env().getNumber(BREAK_EVEN_FLAG);
    tf.env().set(BREAK_EVEN_FLAG, 123);
    expect(breakEven()).to.equal(123);
    tf.env().set(BREAK_EVEN_FLAG, before);
  });
});
