import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {loraMatMul} from '../../../src/index.ts';
import type {WebGPUBackend} from '../../../src/kernels/webgpu/backend.ts';
import {describeShaders, expectClose, expectNoLeaks} from '../../backends.ts';
import {failure} from '../../support/failure.ts';

const device = (): GPUDevice => (tf.backend() as WebGPUBackend).device;
const isSoftware = (): boolean =>
  /swiftshader/.test((tf.backend() as WebGPUBackend).adapterInfo.architecture);

const ones = (...shape: [number, number]): tf.Tensor2D => tf.ones(shape);
/** [rows, 4] · [4, columns] of ones, in our kernel. */
const product = (rows: number, columns: number): tf.Tensor =>
  loraMatMul({x: ones(rows, 4), kernel: ones(4, columns)});

describeShaders('a tensor larger than the device allows', () => {
  let restore = () => {};
  const limitTo = (limits: object): void => {
    const descriptor = Object.getOwnPropertyDescriptor(device(), 'limits');
    const real = device().limits;
    const value = new Proxy(real, {get: (_, name) => Reflect.get(limits, name) ?? Reflect.get(real, name)});
    Object.defineProperty(device(), 'limits', {value, configurable: true});
    restore = () => {
      if (descriptor) Object.defineProperty(device(), 'limits', descriptor);
      else Reflect.deleteProperty(device(), 'limits');
    };
  };
  afterEach(() => restore());

  it('is named, with its bytes and the limit, as a result and as an operand', async () => {
    limitTo({maxStorageBufferBindingSize: 400});
    expect(() => product(10, 11)).to.throw(
      'LoRAMatMul: c, float32 of shape [10,11], 440 bytes, is larger than this device allows ' +
        '(maxStorageBufferBindingSize 400 bytes)',
    );
    expect(() => product(26, 2)).to.throw('LoRAMatMul: a0, float32 of shape [26,4], 416 bytes, is larger');
    await expectClose(product(10, 10), new Float32Array(100).fill(4));
  });

  it('leaves no tensor behind', async () => {
    const [x, kernel] = [ones(10, 4), ones(4, 11)];
    limitTo({maxStorageBufferBindingSize: 400});
    await expectNoLeaks(() => expect(() => loraMatMul({x, kernel})).to.throw('440 bytes, is larger'));
  });

  it('is found out where tfjs has made its buffer already', async () => {
    const x = ones(26, 4);
    await tf.add(x, 1).data();
    limitTo({maxStorageBufferBindingSize: 400});
    expect(() => loraMatMul({x, kernel: ones(4, 2)})).to.throw(
      'LoRAMatMul: a0, float32 of shape [26,4], 416 bytes',
    );
  });

  it('may also be too large for a buffer', () => {
    limitTo({maxBufferSize: 300});
    expect(() => product(10, 10)).to.throw(
      '400 bytes, is larger than this device allows (maxBufferSize 300 bytes)',
    );
  });
});

describeShaders('out of memory on the GPU', () => {
  /** What the next allocations of this size come to, without using up a real GPU. */
  function failAllocations(): () => void {
    const {popErrorScope} = device();
    device().popErrorScope = async () => {
      await popErrorScope.call(device());
      return new GPUOutOfMemoryError('no memory left\nwhile testing');
    };
    return () => void Reflect.deleteProperty(device(), 'popErrorScope');
  }
  const message = (rows: number) =>
    new RegExp(
      `^LoRAMatMul: c, float32 of shape \\[${rows},10\\], ${40 * rows} bytes: out of memory on the GPU, ` +
        'where tfjs holds \\d+ bytes \\(no memory left',
    );

  it('is thrown where the result is read, naming the tensor, its bytes and what is held; then it is over', async () => {
    const restore = failAllocations();
    // sizes that no other test has left a free buffer of
    const y = product(1013, 10);
    restore();
    expect(await failure(y.data())).to.match(message(1013));
    await expectClose(product(1013, 10), new Float32Array(10130).fill(4));
  });

  it('is thrown at the next pass, once for all of the allocations that failed', async () => {
    const restore = failAllocations();
    product(1019, 10);
    product(1021, 10);
    restore();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(() => product(2, 2)).to.throw(message(1019));
    await expectClose(product(2, 2), [4, 4, 4, 4]);
  });

  it('is found out in a real one, of the largest buffer on a software adapter', async function () {
    if (!isSoftware()) {
      this.test!.title += ': only there';
      this.skip();
    }
    const rows = device().limits.maxBufferSize / 4 / 1024;
    const y = loraMatMul({x: ones(rows, 1), kernel: ones(1, 1024)});
    expect(await failure(tf.slice(y, [0, 0], [1, 1]).data())).to.match(
      new RegExp(
        `LoRAMatMul: c, float32 of shape \\[${rows},1024\\], ${rows * 4096} bytes: out of memory on the GPU`,
      ),
    );
  });
});
