import {expect} from 'chai';
import {BREAK_EVEN_FLAG, breakEven} from '../../src/kernels/break_even.ts';
import {registerWebGPUKernels, usesShaders} from '../../src/kernels/webgpu/register.ts';
import {describeBackends, describeOwn} from '../backends.ts';
import {withFlag} from '../support/flags.ts';

/** What was measured, as without the tests' own setting. */
const measured = () => withFlag(BREAK_EVEN_FLAG, -1, breakEven);

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
    expect(withFlag(BREAK_EVEN_FLAG, 123, breakEven)).to.equal(123);
  });
});
