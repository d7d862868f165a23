import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {runKernel} from '../../../src/kernels/register.ts';
import * as names from '../../../src/kernels/transformer_kernel_names.ts';
import {describeShaders} from '../../backends.ts';
import {dispatchesOf} from '../../support/dispatches.ts';

describeShaders('kernels of a transformer', () => {
  const x = () => tf.ones([20, 8]);
  const vector = () => tf.ones([8]);
  const norm = {epsilon: 1e-5};
  const heads = {numHeads: 2, numKvHeads: 1, scale: 1};
  const [q, k] = [() => tf.ones([1, 3, 8]), () => tf.ones([1, 3, 4])];
  const ofAttention = () => ({dy: q(), q: q(), k: k(), v: k(), y: q(), logSumExp: tf.ones([1, 2, 3])});
  const KERNELS: [name: string, inputs: () => object, attrs: object, dispatches: number][] = [
    [names.RMSNorm, () => ({x: x(), weight: vector()}), norm, 1],
    [names.AddRMSNorm, () => ({x: x(), residual: x(), weight: vector()}), norm, 1],
    [names.RMSNormGrad, () => ({dy: x(), x: x(), weight: vector(), dSum: x()}), norm, 1],
    [names.RMSNormWeightGrad, () => ({dy: x(), x: x()}), norm, 2],
    [names.LayerNorm, () => ({x: x(), gamma: vector(), beta: vector()}), norm, 1],
    [names.LayerNormGrad, () => ({dy: x(), x: x(), gamma: vector()}), norm, 1],
    [names.LayerNormWeightGrad, () => ({dy: x(), x: x()}), norm, 2],
    [
      names.RotaryEmbedding,
      () => ({x: q(), cos: tf.ones([3, 2]), sin: tf.ones([3, 2])}),
      {pairing: 'half', inverse: false},
      1,
    ],
    [names.GatedUnit, () => ({gate: x(), up: x()}), {activation: 'silu'}, 1],
    [names.GatedUnitGrad, () => ({dy: x(), gate: x(), up: x()}), {activation: 'silu'}, 1],
    [names.CausalAttention, () => [q(), k(), k()], heads, 1],
    [names.CausalAttentionGrad, ofAttention, heads, 6],
    [
      `${names.CausalAttentionGrad} without shared heads`,
      () => ({...ofAttention(), k: q(), v: q()}),
      {...heads, numKvHeads: 2},
      4,
    ],
  ];
  for (const [title, inputs, attrs, dispatches] of KERNELS) {
    it(`${title} takes ${dispatches} dispatch${dispatches === 1 ? '' : 'es'}`, async () => {
      const tensors = inputs();
      const run = () => runKernel(title.split(' ')[0]!, tensors, attrs);
      expect(await dispatchesOf(run)).to.equal(dispatches);
    });
  }
});
