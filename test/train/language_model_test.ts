import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {
  applyCELoRA,
  type BatchSource,
  type CheckpointStore,
  crossEntropy,
  evaluateLoss,
  exampleBatches,
  fineTune,
  languageModelLoss,
  type TokenBatch,
  type TokenizedText,
} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {describeOnHost, small} from '../model/models.ts';
import {memoryStore, TOKENS} from './runs.ts';
import {tinyLM} from './tiny_lm.ts';

/** Texts of several lengths, of each of which some tokens are learned, in some fewer than in others. */
const TEXTS: TokenizedText[] = [7, 3, 5, 4, 6, 2, 5, 8].map((length, i) => ({
  ids: TOKENS.slice(11 * i, 11 * i + length),
  learn: Array.from({length}, (_, at) => at > i % 3 && at > 0),
}));

const adapted = (segments = false): tfl.LayersModel => {
  const model = tinyLM({segments});
  applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 1});
  return model;
};

const trained = async (data: (model: tfl.LayersModel) => BatchSource<TokenBatch>, accumulate: number) => {
  const model = adapted();
  // at the first steps Adam goes by the sign of a gradient, also of one that is nothing but rounding
  const optimizer = {epsilon: 0.01};
  const loss = languageModelLoss(model);
  const {losses} = await fineTune({
    ...{model, data: data(model), loss, accumulate, optimizer, learningRate: 0.02, steps: 4},
  });
  const weights = await Promise.all(model.trainableWeights.map((weight) => weight.read().data()));
  model.dispose();
  return {losses, weights: weights.flatMap((values) => [...values])};
};

describeOnHost('fine-tuning a language model', () => {
  it('by accumulated small batches is that by large ones, within rounding', async () => {
    const source = (batchSize: number) => () =>
      exampleBatches(TEXTS, {length: 8, batchSize, pack: false, seed: 2});
    const large = await trained(source(4), 1);
    for (const [batchSize, accumulate] of [
      [2, 2],
      [1, 4],
    ] as const) {
      const small = await trained(source(batchSize), accumulate);
      for (const [i, loss] of small.losses.entries()) {
        const expected = large.losses[i]!;
        expect(Math.abs(loss / expected - 1)).to.be.below(1e-5);
      }
      for (const [i, value] of small.weights.entries()) expect(value).to.be.closeTo(large.weights[i]!, 2e-5);
    }
    // the test can fail: batches of unequal weight are not equals
    const unweighted = await trained((model) => {
      const data = source(1)();
      return {...data, batch: async (i) => ({...(await data.batch(i)), weight: model.name.length})};
    }, 4);
    expect(Math.abs(unweighted.losses[0]! - large.losses[0]!)).to.be.above(1e-3);
  });

  it('learns what is to be learned only', async () => {
    const model = tinyLM();
    const [text] = TEXTS as [TokenizedText];
    const loss = (learn: boolean[]) =>
      evaluateLoss(
        exampleBatches([{ids: text.ids, learn}], {length: 8, batchSize: 1, pack: false}),
        languageModelLoss(model),
      );
    const one = (at: number) => loss(text.ids.map((_, i) => i === at));
    const [a, b] = [await one(2), await one(5)];
    expect(await loss(text.ids.map((_, i) => i === 2 || i === 5))).to.be.closeTo((a + b) / 2, 1e-6);
    expect(a).to.not.be.closeTo(b, 1e-3);
  });

  it('packed into rows has the loss of one text a row: they do not see one another, nor padding', async () => {
    const alone = exampleBatches(TEXTS, {length: 8, batchSize: 3, pack: false});
    const packed = exampleBatches(TEXTS, {length: 16, batchSize: 2});
    expect(packed.rows).to.be.below(alone.rows / 2 + 1);
    const expected = await evaluateLoss(alone, languageModelLoss(tinyLM()));
    const model = tinyLM({segments: true});
    expect(await evaluateLoss(packed, languageModelLoss(model))).to.be.closeTo(expected, 1e-6);
    // batches without segments suit that model too
    expect(await evaluateLoss(alone, languageModelLoss(model))).to.be.closeTo(expected, 1e-6);
    // without segments it would be another loss
    const blind: BatchSource<TokenBatch> = {
      ...packed,
      batch: async (index) => {
        const {segments, ...batch} = await packed.batch(index);
        segments!.dispose();
        return batch;
      },
    };
    expect(await evaluateLoss(blind, languageModelLoss(model))).to.not.be.closeTo(expected, 1e-3);
  });

  it('refuses packed texts for a model without segments', async () => {
    const packed = exampleBatches(TEXTS, {length: 16, batchSize: 2});
    const error = await evaluateLoss(packed, languageModelLoss(tinyLM())).catch((reason: Error) => reason);
    expect((error as Error).message).to.equal(
      'languageModelLoss: the batch has texts packed into one row, but model tiny has no second input for their ' +
        'segments; make the batches with pack: false',
    );
  });

  it('lowers the loss, also with approximated gradients', async () => {
    const model = tinyLM({segments: true});
    applyCELoRA(model, {target: /_proj$/, rank: 4, keep: 0.5, frozenRank: 2, exactEvery: 0});
    const data = exampleBatches(TEXTS, {length: 16, batchSize: 2, seed: 1});
    const loss = languageModelLoss(model);
    const {losses} = await fineTune({model, data, loss, steps: 60, learningRate: 0.01});
    expect(losses.at(-1)).to.be.below(0.5 * losses[0]!);
    model.dispose();
  });

  it('weighs a batch by its labels', async () => {
    const {ids, labels, segments, weight} = await exampleBatches(TEXTS, {length: 16, batchSize: 9}).batch(0);
    expect(weight).to.equal(TEXTS.reduce((sum, {learn}) => sum + learn.filter(Boolean).length, 0));
    const model = tinyLM({segments: true});
    const logits = model.apply([ids, segments!]) as tf.Tensor;
    const [mean, sum] = [crossEntropy(logits, labels), crossEntropy(logits, labels, {reduction: 'sum'})];
    expect((await sum.data())[0]).to.be.closeTo((await mean.data())[0]! * weight, 1e-4);
    tf.dispose([ids, labels, segments!]);
  });
});

describeBackends('a whole run', (backend) => {
  it('trains, evaluates, is saved and goes on', async () => {
    const run = async (steps: number, store: CheckpointStore) => {
      const model = tinyLM({segments: true, blocks: 1, dropout: 0.1});
      const config = {...small(backend), loraDropout: 0.1, target: /_proj$/};
      applyCELoRA(model, {...config, overrides: [{target: /up_proj$/, axis: 'rows'}]});
      const heldOut = exampleBatches(TEXTS.slice(6), {length: 8, batchSize: 2});
      const result = await fineTune({
        ...{model, steps, accumulate: 2, learningRate: 0.02, checkpointLayers: 1},
        data: exampleBatches(TEXTS.slice(0, 6), {length: 8, batchSize: 2, seed: 1}),
        loss: languageModelLoss(model),
        evaluation: {data: heldOut, every: 2},
        checkpoints: {store, resume: true},
      });
      model.dispose();
      return result;
    };
    const store = memoryStore();
    await run(2, store);
    const {losses, evaluations} = await run(4, store);
    const whole = await run(4, memoryStore());
    // a software GPU may sum in another order
    for (const [i, loss] of losses.entries()) expect(loss).to.be.closeTo(whole.losses[i]!, 1e-4);
    expect(evaluations.map(({step}) => step)).to.deep.equal([2, 4]);
    expect(losses).to.have.length(4);
  });
});
