import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {replaceMethod} from '../../../src/gradients/engine.ts';
import {installEncodingCache} from '../../../src/index.ts';
import type {WebGPUBackend} from '../../../src/kernels/webgpu/backend.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../../backends.ts';

describeBackends('installEncodingCache', (backend) => {
  if (backend !== 'webgpu') {
    it('is for webgpu alone', () => {
      expect(installEncodingCache).to.throw(
        `installEncodingCache: the backend must be 'webgpu', but is '${backend}'`,
      );
    });
    return;
  }

  /** A scalar operand, one of rank 5 and 6, a program with uniforms of its own: every way that fields are laid out. */
  function results(): tf.Tensor[] {
    return tf.tidy(() => {
      const x = tf.reshape(tf.linspace(-2, 3, 64), [4, 16]);
      const deep = tf.transpose(tf.reshape(x, [2, 2, 2, 4, 2]), [4, 1, 0, 3, 2]);
      const deeper = tf.slice(tf.reshape(x, [2, 2, 2, 2, 2, 2]), [0, 1, 0, 1, 0, 1], [2, 1, 2, 1, 2, 1]);
      return [
        tf.add(x, tf.fill([], 3)),
        tf.mul(deep, tf.sum(deep)),
        tf.add(deeper, 1),
        tf.leakyRelu(x, 0.3),
        tf.clipByValue(x, -1, 0.5),
        tf.matMul(x as tf.Tensor2D, x as tf.Tensor2D, false, true),
        tf.softmax(x),
        tf.cast(x, 'int32'),
        tf.pad(x as tf.Tensor2D, [
          [1, 2],
          [0, 3],
        ]),
      ];
    });
  }

  const valuesOf = (tensors: tf.Tensor[]) =>
    Promise.all(tensors.map(async (t) => Array.from(await t.data())));

  it('gives the same results, also when what is kept is used again', async () => {
    const expected = await valuesOf(results());
    const installation = installEncodingCache();
    try {
      for (let round = 0; round < 3; round++) expect(await valuesOf(results())).to.deep.equal(expected);
    } finally {
      installation.dispose();
    }
    expect(await valuesOf(results())).to.deep.equal(expected);
  });

  it('keeps the numbers of programs of one shape apart', async () => {
    const installation = installEncodingCache();
    const x = tf.tensor1d([-1, 2, 5]);
    try {
      for (const most of [1, 3, 1, 4]) {
        await expectClose(tf.clipByValue(x, 0, most), [0, Math.min(2, most), Math.min(5, most)]);
      }
    } finally {
      installation.dispose();
    }
  });

  it('meets bind groups again in whatever order tensors are freed', async () => {
    let made = 0;
    const restore = replaceMethod(
      GPUDevice.prototype,
      'createBindGroup',
      (stock) =>
        function (this: GPUDevice, descriptor) {
          made++;
          return stock.call(this, descriptor);
        },
    );
    const installation = installEncodingCache();
    const x = tf.ones([4, 16]);
    const operands = [0, 1, 2, 3].map((i) => tf.fill([4, 16], i));
    const step = async (freed: number[]) => {
      const sums = operands.map((operand) => tf.add(x, operand));
      const last = tf.add(sums[0]!, sums[3]!);
      await last.data();
      tf.dispose([last, ...freed.map((i) => sums[i]!)]);
    };
    try {
      for (let i = 0; i < 2; i++) await step([0, 1, 2, 3]);
      expect(made).to.be.at.least(5);
      made = 0;
      await step([3, 1, 0, 2]);
      await step([2, 0, 3, 1]);
      await step([1, 3, 2, 0]);
      expect(made).to.equal(0);
    } finally {
      installation.dispose();
      restore();
      tf.dispose([x, operands]);
    }
  });

  it('makes no bind group and no uniform buffer a second time, and restores tfjs with the last', async () => {
    const {device} = tf.backend() as WebGPUBackend;
    const own = () => ['createBindGroup', 'createBuffer'].filter((name) => Object.hasOwn(device, name));
    const before = own();
    const made = {groups: 0, writes: 0};
    const createBindGroup = device.createBindGroup.bind(device);
    const writeBuffer = device.queue.writeBuffer.bind(device.queue);
    device.createBindGroup = (descriptor) => {
      made.groups++;
      return createBindGroup(descriptor);
    };
    device.queue.writeBuffer = (...args: Parameters<GPUQueue['writeBuffer']>) => {
      made.writes++;
      writeBuffer(...args);
    };
    const step = async () => {
      const [x, y] = [tf.fill([8, 8], 2), tf.fill([8, 8], 3)];
      const sum = tf.add(x, y);
      await sum.data();
      tf.dispose([x, y, sum]);
      return {...made};
    };
    try {
      const [first, second] = [await step(), await step()];
      expect(second.groups - first.groups, 'stock').to.equal(3);
      const installations = [installEncodingCache(), installEncodingCache()];
      installations[0]!.dispose();
      await step();
      const warm = await step();
      expect(await step()).to.deep.equal(warm);
      installations[1]!.dispose();
      const third = await step();
      expect(third.groups - warm.groups, 'restored').to.equal(3);
    } finally {
      Reflect.deleteProperty(device, 'createBindGroup');
      Reflect.deleteProperty(device.queue, 'writeBuffer');
    }
    expect(own()).to.deep.equal(before);
  });

  it('leaves no tensor behind', () =>
    expectNoLeaks(async () => {
      const installation = installEncodingCache();
      const made = results();
      await valuesOf(made);
      tf.dispose(made);
      installation.dispose();
    }));
});
