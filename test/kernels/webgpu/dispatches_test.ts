import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {AdamW, crossEntropy, gatedUnit} from '../../../src/index.ts';
import * as names from '../../../src/kernels/kernel_names.ts';
import {runKernel} from '../../../src/kernels/register.ts';
import * as training from '../../../src/kernels/training_kernel_names.ts';
import type {WebGPUBackend} from '../../../src/kernels/webgpu/backend.ts';
import {grid} from '../../../src/kernels/webgpu/grid.ts';
import {describeShaders} from '../../backends.ts';
import {dispatchesOf} from '../../support/dispatches.ts';
import {uploadsIn} from '../../support/uploads.ts';

describe('grid', () => {
  const backend = {device: {limits: {maxComputeWorkgroupsPerDimension: 65535}}} as WebGPUBackend;
  for (const count of [1, 65535, 65536, 65537, 131_071, 10_000_000]) {
    it(`has ${count} workgroups and few more, within the limit`, () => {
      const [x, y, z] = grid(backend, count, 3);
      expect([Math.max(x, y) <= 65535, x * y >= count, x * y < count + y, z]).to.deep.equal([
        true,
        true,
        true,
        3,
      ]);
    });
  }
});

describeShaders('kernels of a training step', () => {
  const ints = (...values: number[]) => tf.tensor1d(values, 'int32');
  const adamW = {learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, decayed: 3};
  const vectors = (...keys: string[]) => Object.fromEntries(keys.map((key) => [key, tf.ones([8])]));
  const KERNELS: [name: string, inputs: () => object, attrs: object, dispatches: number][] = [
    [training.CountLabels, () => ({labels: ints(1, -1)}), {classes: 4, ignoreLabel: -1}, 1],
    [training.CrossEntropy, () => ({logits: tf.ones([2, 4]), labels: ints(1, -1)}), {}, 1],
    [
      training.CrossEntropyGrad,
      () => ({logits: tf.ones([2, 4]), labels: ints(1, -1), ...vectors('top', 'total', 'scale')}),
      {},
      1,
    ],
    [training.EmbeddingLookup, () => ({table: tf.ones([5, 4]), ids: ints(1, 4)}), {classes: 5}, 1],
    [training.EmbeddingGrad, () => ({dy: tf.ones([2, 4]), ids: ints(1, 4)}), {classes: 5}, 1],
    [training.GlobalNorm, () => vectors('flat'), {maxNorm: 1}, 2],
    [training.AdamWStep, () => vectors('params', 'grads', 'm', 'v'), {...adamW, step: 1}, 1],
    [training.PackTensors, () => Array.from({length: 20}, () => tf.ones([2, 3])), {}, 0],
    [training.UnpackTensors, () => vectors('flat'), {shapes: Array.from({length: 8}, () => [])}, 0],
    [names.DeviceRandomUniform, () => ({}), {shape: [5, 7], seed: 1}, 1],
    [names.DropoutMask, () => ({}), {shape: [5, 7], seed: 1, rate: 0.1}, 1],
    [names.SampleRows, () => ({dy: tf.ones([5, 4])}), {rows: 2, offset: 0.5}, 2],
    [names.InverseCholesky, () => ({gram: tf.eye(5)}), {}, 1],
  ];
  for (const [name, inputs, attrs, dispatches] of KERNELS) {
    it(`${name} takes ${dispatches} dispatches`, async () => {
      const tensors = inputs();
      expect(await dispatchesOf(() => runKernel(name, tensors, attrs))).to.equal(dispatches);
    });
  }

  it('a loss makes no array in JavaScript, forward or backward', () => {
    const [logits, labels] = [tf.ones([6, 5]), ints(0, 1, 2, 3, 4, -100)];
    const pass = () => tf.tidy(() => void tf.valueAndGrad((x) => crossEntropy(x, labels))(logits));
    expect(uploadsIn(pass)).to.deep.equal([]);
  });

  it('56 variables are clipped and updated in three dispatches, without a new buffer for what changes', async () => {
    const variables = Array.from({length: 56}, () => tf.variable(tf.ones([4, 3])));
    const gradients = variables.map(({name}) => ({name, tensor: tf.ones([4, 3])}));
    const optimizer = new AdamW(0.1, {clipNorm: 1});
    const step = (learningRate: number) => {
      optimizer.learningRate = learningRate;
      return dispatchesOf(() => optimizer.applyGradients(gradients));
    };
    // the buffers that are freed with one step serve the next but one
    for (let i = 0; i < 20; i++) await step(1 / (i + 1));
    const {device} = tf.backend() as WebGPUBackend;
    let made = 0;
    const createBuffer = device.createBuffer;
    device.createBuffer = function (descriptor) {
      made++;
      return createBuffer.call(this, descriptor);
    };
    try {
      for (let i = 20; i < 40; i++) expect(await step(1 / (i + 1))).to.equal(3);
    } finally {
      Reflect.deleteProperty(device, 'createBuffer');
    }
    expect(made).to.equal(0);
    tf.dispose(variables);
    optimizer.dispose();
  });

  it('a step meets the bind groups of those before, in whatever order their tensors are freed', async () => {
    const x = tf.ones([3, 8]);
    const order = [0, 1, 2, 3];
    const step = async () => {
      const made = order.map(() => gatedUnit(x, x));
      const last = gatedUnit(made[0]!, made[3]!);
      await last.data();
      tf.dispose([last, ...order.map((i) => made[i]!)]);
      order.push(order.shift()!);
    };
    for (let i = 0; i < 3; i++) await step();
    const {device} = tf.backend() as WebGPUBackend;
    let made = 0;
    const createBindGroup = device.createBindGroup;
    device.createBindGroup = function (descriptor) {
      made++;
      return createBindGroup.call(this, descriptor);
    };
    try {
      for (let i = 0; i < 8; i++) await step();
    } finally {
      Reflect.deleteProperty(device, 'createBindGroup');
    }
    expect(made).to.equal(0);
    x.dispose();
  });
});
