import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {deviceRandomUniform} from '../../src/index.ts';
import {roundKeys} from '../../src/kernels/counter_hash.ts';
import {hashOnDevice} from '../../src/kernels/portable/random_uniform.ts';
import {usesShaders} from '../../src/kernels/webgpu/register.ts';
import {describeWithShaders, expectNoLeaks} from '../backends.ts';
import {bits} from '../model/models.ts';
import {hashUniform} from '../reference/random_uniform.ts';
import {uploadsIn} from '../support/uploads.ts';

const SIZE = 2 ** 18;

/** How many standard deviations χ² of the counts is above its mean: below 5 is no finding. */
function excess(counts: ArrayLike<number>): number {
  const all = Array.from(counts);
  const expected = all.reduce((sum, count) => sum + count, 0) / all.length;
  const chi = all.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  return Math.abs(chi - (all.length - 1)) / Math.sqrt(2 * (all.length - 1));
}

/** Counts of a in 32 classes by b in 32 classes. */
function joint(a: ArrayLike<number>, b: ArrayLike<number>, lag = 0): Float64Array {
  const counts = new Float64Array(32 * 32);
  for (let i = 0; i < a.length - lag; i++) {
    const cell = Math.floor(a[i]! * 32) * 32 + Math.floor(b[i + lag]! * 32);
    counts[cell] = counts[cell]! + 1;
  }
  return counts;
}

const values = (size: number, seed: number): Float64Array => hashUniform(size, seed);

describe('the hash of deviceRandomUniform', () => {
  const SEEDS = [0, 1, 2, 3, 1000, 2 ** 31, 2 ** 32 - 1];

  for (const seed of SEEDS) {
    it(`is uniform: seed ${seed}`, () => {
      const numbers = values(SIZE, seed);
      const mean = numbers.reduce((sum, value) => sum + value, 0) / SIZE;
      const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / SIZE;
      expect(Math.abs(mean - 1 / 2) * Math.sqrt(12 * SIZE)).to.be.below(5);
      expect(Math.abs(variance - 1 / 12) * Math.sqrt(180 * SIZE)).to.be.below(5);
      const high = new Float64Array(256);
      const low = new Float64Array(256);
      for (const value of numbers) {
        high[Math.floor(value * 256)]!++;
        low[(value * 2 ** 24) & 255]!++;
      }
      expect(excess(high), 'high bits').to.be.below(5);
      expect(excess(low), 'low bits').to.be.below(5);
    });

    it(`has no correlation between near and far numbers: seed ${seed}`, () => {
      const numbers = values(SIZE, seed);
      for (const lag of [1, 2, 3, 64, 704, 2048, 4095, 4096, 4097, 8192, 65536]) {
        expect(excess(joint(numbers, numbers, lag)), `lag ${lag}`).to.be.below(5);
      }
    });

    it(`has none with the next seed: seed ${seed}`, () => {
      const numbers = values(SIZE, seed);
      for (const other of [seed ^ 1, (seed + 1) % 2 ** 32, seed ^ 65536]) {
        expect(excess(joint(numbers, values(SIZE, other >>> 0))), `seed ${other >>> 0}`).to.be.below(5);
      }
    });
  }

  it('never gives a number twice within a block', () => {
    expect(new Set(values(SIZE, 5)).size).to.equal(SIZE);
  });
});

describeWithShaders('deviceRandomUniform', (backend) => {
  const SHAPES = [[5, 123, 123], [1], [], [1, 1, 1], [4096], [4097], [3, 4096], [2, 3, 4, 5, 6, 7], [0, 3]];

  for (const shape of SHAPES) {
    it(`gives the bits of the reference: [${shape}]`, async () => {
      const numbers = deviceRandomUniform(shape, 77);
      expect(numbers.dtype).to.equal('float32');
      expect(numbers.shape).to.deep.equal(shape);
      expect(await numbers.data()).to.deep.equal(Float32Array.from(values(numbers.size, 77)));
    });
  }

  it('depends on the place in the flattened tensor alone', async () => {
    const flat = await bits(deviceRandomUniform([6 * 1000], 3));
    expect(await bits(deviceRandomUniform([6, 1000], 3))).to.deep.equal(flat);
    expect((await bits(deviceRandomUniform([9000], 3))).slice(0, 6000)).to.deep.equal(flat);
  });

  for (const size of [1, 5, 4096, 4097, 40_000]) {
    it(`has a portable form of the same bits: ${size}`, async () => {
      const keys = roundKeys(77, 0);
      const numbers = tf.tidy(() => hashOnDevice(size, keys));
      expect(await numbers.data()).to.deep.equal(Float32Array.from(values(size, 77)));
    });
  }

  it('goes on in a second block of keys after 2²⁴ numbers', async function () {
    if (backend === 'webgpu' && !usesShaders()) this.skip();
    const size = 2 ** 24 + 5;
    const tail = tf.tidy(() => tf.slice(deviceRandomUniform<tf.Tensor1D>([size], 9), 2 ** 24 - 5, 10));
    expect(await tail.data()).to.deep.equal(Float32Array.from(values(size, 9).subarray(-10)));
  });

  it('uploads no more than scalars, leaves nothing, and has no gradient', async () => {
    await expectNoLeaks(async () => {
      expect(uploadsIn(() => tf.tidy(() => void hashOnDevice(5000, roundKeys(1, 0))))).to.deep.equal([]);
      if (backend === 'webgpu') {
        expect(uploadsIn(() => deviceRandomUniform([50, 100], 1).dispose())).to.deep.equal([]);
      }
      const dx = tf.tidy(() =>
        tf.grad((x: tf.Tensor) => tf.mul(x, deviceRandomUniform([5], 1)))(tf.ones([5])),
      );
      expect(await dx.data()).to.deep.equal(Float32Array.from(values(5, 1)));
      dx.dispose();
    });
  });

  it('refuses wrong shapes and seeds by name', () => {
    const wrong: [number[], number, string][] = [
      [[-1], 0, 'shape must be an array of integers ≥ 0, but is [-1]'],
      [[1.5], 0, 'shape must be an array of integers ≥ 0, but is [1.5]'],
      [[1], -1, 'seed must be an integer from 0 to 2³² − 1, but is -1'],
      [[1], 0.5, 'seed must be an integer from 0 to 2³² − 1, but is 0.5'],
      [[1], 2 ** 32, 'seed must be an integer from 0 to 2³² − 1, but is 4294967296'],
    ];
    for (const [shape, seed, message] of wrong) {
      expect(() => deviceRandomUniform(shape, seed)).to.throw(`deviceRandomUniform: ${message}`);
    }
  });
});
