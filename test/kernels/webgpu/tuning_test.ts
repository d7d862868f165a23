import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import type {Tuning} from '../../../src/kernels/webgpu/tuning.ts';
import {lowRankMatMul} from '../../../src/ops/low_rank_mat_mul.ts';
import {randomStream} from '../../../src/random.ts';
import {describeShaders, expectClose} from '../../backends.ts';
import {tensorOf} from '../../ops/tensors.ts';
import {matMul, randomMatrix} from '../../reference/matrix.ts';
import {dispatchesOf} from '../../support/dispatches.ts';

describeShaders('what skinny products are tuned by', () => {
  const usual = new Map<string, number>();
  const set = (values: Partial<Tuning>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (!usual.has(name)) usual.set(name, tf.env().getNumber(name));
      tf.env().set(name, value);
    }
  };
  afterEach(() => {
    for (const [name, value] of usual) tf.env().set(name, value);
  });

  const random = randomStream(1);
  const [a, b] = [randomMatrix(70, 300, random), randomMatrix(300, 12, random)];

  for (const [workgroups, leastDepth, dispatches] of [
    [1, 64, 1],
    [2048, 64, 2],
    [2048, 301, 1],
    [4, 128, 2],
  ] as const) {
    it(`changes no value: ${workgroups} workgroups, parts of ${leastDepth} or more`, async () => {
      set({CELORA_SKINNY_WORKGROUPS: workgroups, CELORA_SKINNY_LEAST_DEPTH: leastDepth});
      const run = () => lowRankMatMul(tensorOf(a), tensorOf(b));
      expect(await dispatchesOf(run)).to.equal(dispatches);
      await expectClose(run(), matMul(a, b).data, 1e-6);
    });
  }
});
