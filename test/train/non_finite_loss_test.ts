import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {fineTune, NonFiniteLossError, type TrainingEvent} from '../../src/index.ts';
import {describeOnHost} from '../model/models.ts';
import {failure, memoryStore, oneWeight} from './runs.ts';

describeOnHost('fineTune, when the loss is no number any more,', () => {
  /** (w − n)², but NaN for batch `bad`. */
  function spoilt(bad: number) {
    const one = oneWeight();
    const loss: typeof one.loss = (batch, apply) =>
      tf.mul(one.loss(batch, apply), batch.n === bad ? Number.NaN : 1);
    return {...one, loss};
  }

  it('says so, and gives the model back its last good weights', async () => {
    for (const bad of [0, 1, 3]) {
      const {model, data, loss, asked, weight} = spoilt(bad);
      const events: TrainingEvent[] = [];
      const onEvent = (event: TrainingEvent) => events.push(event);
      const error = await failure(fineTune({model, data, loss, learningRate: 0.3, steps: 50, onEvent}));
      expect(error).to.be.instanceOf(NonFiniteLossError);
      expect((error as NonFiniteLossError).step).to.equal(bad + 1);
      expect(error.message).to.equal(
        `fineTune: the loss became NaN at step ${bad + 1}, learning rate 0.3: try a lower rate, or a longer warm-up; ` +
          'the model has the last weights whose loss was a number',
      );
      expect(events).to.have.length(bad);
      expect(asked.length).to.be.at.most(bad + 2);
      const good = oneWeight();
      if (bad > 1) {
        await fineTune({...good, learningRate: 0.3, steps: bad - 1});
      }
      expect(await weight(), `batch ${bad}`).to.equal(await good.weight());
    }
  });

  it('says so of a held-out loss, and of weights that are to be saved', async () => {
    const {model, data, loss, weight} = spoilt(77);
    const evaluation = {data: {count: 1, batch: () => ({n: 77})}, every: 2};
    const error = await failure(fineTune({model, data, loss, learningRate: 0.3, steps: 9, evaluation}));
    expect(error.message).to.match(/^fineTune: the held-out loss became NaN at step 2, /);
    const good = oneWeight();
    await fineTune({...good, learningRate: 0.3, steps: 1});
    expect(await weight()).to.equal(await good.weight());

    const other = oneWeight();
    const infinite = {
      ...other,
      loss: (({n}, apply) => {
        const y = other.loss({n}, apply);
        // a finite loss with an infinite gradient
        return n === 2 ? tf.sqrt<tf.Scalar>(tf.mul(y, 0)) : y;
      }) as typeof loss,
    };
    const store = memoryStore();
    const checkpoints = {store, every: 1};
    const found = await failure(fineTune({...infinite, learningRate: 0.3, steps: 9, checkpoints}));
    expect(found.message)
      .to.match(/^fineTune: a weight became no number at step 3, /)
      .and.to.match(/; the last checkpoint is checkpoint-1\.safetensors of step 2$/);
    expect(store.files.size).to.equal(2);
  });
});
