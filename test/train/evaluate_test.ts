import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {evaluateLoss, languageModelLoss, textBatches} from '../../src/index.ts';
import {expectNoLeaks} from '../backends.ts';
import {describeOnHost} from '../model/models.ts';
import {busyModel, failure, oneWeight, TOKENS} from './runs.ts';

describeOnHost('evaluateLoss', () => {
  it('is the mean of the batches by their weights', async () => {
    const {loss} = oneWeight();
    const weights = [1, 0, 5];
    const data = {count: 3, batch: (n: number) => ({n, weight: weights[n]!})};
    expect(await evaluateLoss(data, loss)).to.be.closeTo((1 * 0 + 5 * 4) / 6, 1e-12);
    expect(await evaluateLoss({count: 3, batch: (n) => ({n})}, loss)).to.be.closeTo(5 / 3, 1e-12);
  });

  it('does not depend on how rows are put into batches, and has no dropout', async () => {
    const model = busyModel();
    const loss = languageModelLoss(model);
    const losses: number[] = [];
    for (const batchSize of [1, 2, 5, 100]) {
      losses.push(await evaluateLoss(textBatches(TOKENS, {length: 9, batchSize}), loss));
    }
    for (const one of losses) expect(one).to.be.closeTo(losses[0]!, 3e-6);
    const source = textBatches(TOKENS, {length: 9, batchSize: 5});
    expect(await evaluateLoss(source, loss)).to.equal(losses[2]);
    model.dispose();
  });

  it('tells how far it is', async () => {
    const {data, loss} = oneWeight();
    const seen: string[] = [];
    await evaluateLoss({...data, count: 3}, loss, {
      onProgress: (done, total) => seen.push(`${done}/${total}`),
    });
    expect(seen).to.deep.equal(['1/3', '2/3', '3/3']);
  });

  it('ends with the reason of its signal', async () => {
    const {data, loss, asked} = oneWeight();
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = (done: number) => done === 2 && controller.abort(reason);
    const error = await failure(evaluateLoss(data, loss, {signal: controller.signal, onProgress}));
    expect(error).to.equal(reason);
    expect(asked).to.deep.equal([0, 1]);
  });

  it('frees what it makes and what it is given, also after an error', async () => {
    const {loss} = oneWeight();
    const data = {count: 3, batch: (n: number) => ({n, x: tf.ones([2])})};
    await expectNoLeaks(() => evaluateLoss(data, loss));
    const failing: typeof loss = (batch, apply) => {
      if (batch.n === 2) throw new Error('no');
      return loss(batch, apply);
    };
    await expectNoLeaks(() => failure(evaluateLoss(data, failing)));
  });

  it('refuses data without anything that counts', async () => {
    const {loss} = oneWeight();
    const data = {count: 2, batch: (n: number) => ({n, weight: 0})};
    expect(await failure(evaluateLoss(data, loss))).to.have.property(
      'message',
      'evaluateLoss: data has no batch that counts',
    );
  });
});
