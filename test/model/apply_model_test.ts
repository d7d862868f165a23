import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, crossEntropy, installEarlyFreeing, installGradientFixes} from '../../src/index.ts';
import {modelRunner} from '../../src/model/apply_model.ts';
import {expectNoLeaks} from '../backends.ts';
import {peakBytes} from '../support/peak.ts';
import {idsOf, tinyLM} from '../train/tiny_lm.ts';
import {bits, describeOnHost, expectSameBits, mlp, randomTensor} from './models.ts';

/** Loss and gradients of all trainable weights. */
async function gradients(
  model: tfl.LayersModel,
  checkpointLayers?: number,
  inputs: tf.Tensor | tf.Tensor[] = idsOf(2, 6),
) {
  const apply = modelRunner(true, checkpointLayers);
  const labels = idsOf(2, 6, 11, 3);
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const {value, grads} = tf.variableGrads(() => crossEntropy(apply(model, inputs), labels), variables);
  const all = [value, ...variables.map(({name}) => grads[name]!)];
  const result = await Promise.all(all.map(bits));
  tf.dispose([all, labels, inputs]);
  return result;
}

describeOnHost('a model applied with checkpointLayers', () => {
  let fixes: {dispose(): void}[];
  beforeEach(() => {
    fixes = [installGradientFixes(), installEarlyFreeing()];
  });
  afterEach(() => {
    for (const fix of fixes) fix.dispose();
  });

  const MODELS: [string, () => tfl.LayersModel][] = [
    ['trained as a whole', () => tinyLM()],
    [
      'with adapters of approximated gradients and dropout',
      () => {
        const model = tinyLM({dropout: 0.3, blocks: 3});
        applyCELoRA(model, {target: /_proj$/, rank: 2, frozenRank: 1, loraDropout: 0.4});
        return model;
      },
    ],
  ];
  for (const [kind, make] of MODELS) {
    it(`has the same losses and gradients, bit for bit: ${kind}`, async () => {
      const results: number[][][] = [];
      for (const every of [undefined, 1, 2]) {
        const model = make();
        results.push([...(await gradients(model, every)), ...(await gradients(model, every))]);
        model.dispose();
      }
      expect(results[1]).to.deep.equal(results[0]);
      expect(results[2]).to.deep.equal(results[0]);
    });
  }

  it('takes several inputs, segments among them', async () => {
    const model = tinyLM({segments: true});
    const segments = () => tf.tensor2d([1, 1, 1, 2, 2, 0, 1, 1, 2, 2, 2, 2], [2, 6], 'int32');
    const expected = await gradients(model, undefined, [idsOf(2, 6), segments()]);
    expect(await gradients(model, 1, [idsOf(2, 6), segments()])).to.deep.equal(expected);
    const one = await gradients(model, 1, [idsOf(2, 6), tf.ones([2, 6], 'int32')]);
    expect(one[0]).to.not.deep.equal(expected[0]);
    model.dispose();
  });

  it('keeps less in memory the more blocks it computes again', async () => {
    const peaks: number[] = [];
    for (const every of [undefined, 2, 1]) {
      const model = tinyLM({blocks: 12});
      applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 1});
      await gradients(model, every, idsOf(2, 6));
      const apply = modelRunner(true, every);
      const [ids, labels] = [idsOf(16, 16), idsOf(16, 16)];
      const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
      peaks.push(
        peakBytes(() => {
          const {value, grads} = tf.variableGrads(() => crossEntropy(apply(model, ids), labels), variables);
          tf.dispose([value, grads]);
        }),
      );
      tf.dispose([ids, labels]);
      model.dispose();
    }
    const [none, half, all] = peaks as [number, number, number];
    expect(half).to.be.below(0.8 * none);
    expect(all).to.be.below(0.7 * half);
  });

  it('leaves nothing behind', async () => {
    const model = tinyLM();
    applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 1});
    await expectNoLeaks(() => gradients(model, 1));
    model.dispose();
  });

  it('works on models of one chain, with names of other kinds, and on parts that share the layers', async () => {
    const model = tfl.sequential({
      layers: [0, 1, 2].map((i) =>
        tfl.layers.dense({
          units: 4,
          name: `block_${i}/dense`,
          kernelInitializer: tfl.initializers.glorotNormal({seed: i + 1}),
          ...(i === 0 ? {inputShape: [4]} : {}),
        }),
      ),
    });
    const part = tfl.model({inputs: model.inputs, outputs: model.layers[1]!.output as tfl.SymbolicTensor});
    const x = randomTensor([3, 4]);
    for (const one of [model, part]) {
      for (const every of [1, 2]) {
        await expectSameBits(modelRunner(true, every)(one, x), one.apply(x) as tf.Tensor);
      }
    }
  });

  it('is off where nothing is trained', async () => {
    const model = mlp();
    const x = randomTensor([3, 6]);
    await expectSameBits(modelRunner(false, 1)(model, x), model.apply(x) as tf.Tensor);
  });

  it('refuses models without blocks, and masks, by name', () => {
    expect(() => modelRunner(true, 1)(mlp(), randomTensor([3, 6]))).to.throw(
      /^checkpointLayers: no layer of model mlp is one of a block: /,
    );
    const masked = tfl.sequential({
      layers: [
        tfl.layers.masking({inputShape: [3, 2], name: 'mask'}),
        tfl.layers.dense({units: 2, name: 'h.0.dense'}),
      ],
    });
    expect(() => modelRunner(true, 1)(masked, randomTensor([1, 3, 2]))).to.throw(
      'checkpointLayers: layer mask makes a mask, which would be lost',
    );
  });
});
