import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {loadLlama} from '../../../demos/llama/load.ts';
import {causalLoss, nextTokenLoss} from '../../../demos/llama/loss.ts';
import {evaluateLoss, exampleBatches} from '../../../src/index.ts';
import {describeBackends} from '../../backends.ts';
import {crossEntropy, llamaLogits} from '../../reference/llama.ts';
import {onBackend, randomTensors, settingsFor, tinyConfig, tinyModel} from './fixtures.ts';

/** 2 × 3 rows of 5 logits, among them very large ones. */
const ROWS = [
  [0.5, -1, 2, 0, 0.25],
  [1000, 999, -1000, 0, 3],
  [-2, -2, -2, -2, -2],
  [1, 2, 3, 4, 5],
  [0, 0, 80, 0, -80],
  [1e-3, 0, 0, 0, 0],
];

async function value(tensor: tf.Tensor): Promise<number[]> {
  const values = [...(await tensor.data())];
  tensor.dispose();
  return values;
}

describeBackends('the causal loss', (backend) => {
  settingsFor(backend);

  for (const labels of [
    [2, 1, 4, 0, 2, 3],
    [2, -1, 4, -1, -100, 3],
  ]) {
    it(`and its gradient are those of the float64 formula, labels ${labels}`, async () => {
      const before = tf.memory().numTensors;
      const {loss, grad} = tf.tidy(() => {
        const target = tf.tensor2d(labels, [2, 3], 'int32');
        const f = tf.valueAndGrad((x) => causalLoss(x, target));
        const {value, grad} = f(tf.tensor3d(ROWS.flat(), [2, 3, 5]), tf.scalar(2));
        return {loss: value, grad};
      });
      expect(grad.shape).to.deep.equal([2, 3, 5]);
      const [found] = await value(loss);
      expect(found).to.be.closeTo(crossEntropy(ROWS, labels), 1e-6);
      const slopes = await value(grad);
      for (const [i, slope] of slopes.entries()) {
        const at = (step: number) => {
          const moved = ROWS.map((row) => [...row]);
          moved[Math.floor(i / 5)]![i % 5]! += step;
          return crossEntropy(moved, labels);
        };
        expect(slope, `logit ${i}`).to.be.closeTo((2 * (at(1e-4) - at(-1e-4))) / 2e-4, 1e-6);
      }
      expect(tf.memory().numTensors).to.equal(before);
    });
  }

  it('is 0 where no label counts', async () => {
    const loss = tf.tidy(() => causalLoss(tf.ones([1, 2, 5]), tf.tensor2d([[-1, -1]], undefined, 'int32')));
    expect(await value(loss)).to.deep.equal([0]);
  });

  it('evaluates windows of different lengths by the token', async () => {
    const {model, config} = await loadLlama(tinyModel());
    const weights = new Map(Object.entries(randomTensors(tinyConfig())));
    const windows = [[1, 4, 2, 9], [3, 3], [5], [22, 21, 20, 19, 18, 17], Int32Array.of(7, 8, 9)];
    let total = 0;
    let tokens = 0;
    for (const window of windows) {
      if (window.length < 2) continue;
      const ids = Array.from(window);
      const mean = crossEntropy(llamaLogits(config, weights, ids.slice(0, -1)), ids.slice(1));
      total += mean * (ids.length - 1);
      tokens += ids.length - 1;
    }
    const texts = windows.map((window) => {
      const ids = Array.from(window);
      return {ids, learn: ids.map(() => true)};
    });
    const before = tf.memory().numTensors;
    const loss = await evaluateLoss(
      exampleBatches(texts, {length: 5, batchSize: 2, pack: false}),
      ({ids, labels}, apply) => nextTokenLoss(model, ids, labels, {apply}),
    );
    expect(loss).to.be.closeTo(total / tokens, 1e-5);
    // The two tables of the last length stay with the model.
    expect(tf.memory().numTensors).to.equal(before + 2);
    model.dispose();
  });
});

describe('the causal loss', () => {
  onBackend('cpu');

  it('refuses labels that do not fit the logits', () => {
    const run = () => tf.tidy(() => causalLoss(tf.zeros([2, 3, 5]), tf.zeros([2, 4], 'int32')));
    expect(run).to.throw('labels must be int32 of shape [2,3], but is int32 of shape [2,4]');
  });
});
