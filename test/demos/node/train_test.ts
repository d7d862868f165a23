import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import type {Task} from '../../../demos/node/task.ts';
import {learningRate, train} from '../../../demos/node/train.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {onBackend} from '../llama/fixtures.ts';

describe('learningRate', () => {
  const rates = (steps: number) => Array.from({length: steps}, (_, step) => learningRate(step, steps, 2));

  it('warms up over a twentieth of the steps, then falls along a cosine to a tenth', () => {
    const all = rates(100);
    expect(all.slice(0, 6)).to.deep.equal([0.4, 0.8, 1.2, 1.6, 2, 2]);
    for (let step = 6; step < 100; step++) {
      const cosine = Math.cos((Math.PI * (step - 5)) / 95);
      expect(all[step]).to.be.closeTo(2 * (0.1 + (0.9 * (1 + cosine)) / 2), 1e-12);
      expect(all[step]).to.be.below(all[step - 1]!);
    }
    expect(all.at(-1)).to.be.within(0.2, 0.21);
  });

  it('begins at its peak where there are few steps', () => {
    expect(rates(1)).to.deep.equal([2]);
    expect(rates(3)[0]).to.equal(2);
    expect(rates(3)[2]).to.be.within(0.2, 2);
  });
});

describe('train', () => {
  onBackend('cpu');
  const {signal} = new AbortController();
  let asked: number[];
  let model: tfl.LayersModel;

  /** The loss of step n is (w − n)², times `scale`. */
  function task(scale = 1, steps = 4): Task {
    return {
      model,
      steps,
      loss(step: number) {
        asked.push(step);
        const y = model.apply(tf.ones([1, 1]), {training: true}) as tf.Tensor;
        return tf.mul(tf.sum(tf.square(tf.sub(y, step))), scale) as tf.Scalar;
      },
    } as unknown as Task;
  }

  beforeEach(() => {
    asked = [];
    model = tfl.sequential({
      layers: [tfl.layers.dense({units: 1, inputShape: [1], useBias: false, kernelInitializer: 'zeros'})],
    });
  });
  afterEach(() => model.dispose());

  it('goes through the batches in order, a step of Adam at the rate of the schedule each', async () => {
    const steps: [number, number][] = [];
    const before = tf.memory();
    const {losses, seconds} = await train(task(), {lr: 0.5, signal, onStep: (...step) => steps.push(step)});
    expect(tf.memory().numTensors).to.equal(before.numTensors);
    expect(tf.memory().numDataBuffers).to.equal(before.numDataBuffers);
    expect(asked).to.deep.equal([0, 1, 2, 3]);
    expect(seconds).to.be.above(0);
    expect(steps).to.deep.equal(losses.map((loss, i) => [i + 1, loss]));

    let [w, m, v] = [0, 0, 0];
    for (const step of asked) {
      expect(losses[step]).to.be.closeTo((w - step) ** 2, 1e-4);
      const gradient = 2 * (w - step);
      m = 0.9 * m + 0.1 * gradient;
      v = 0.999 * v + 0.001 * gradient ** 2;
      const unbiased = [m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))] as const;
      w -= (learningRate(step, 4, 0.5) * unbiased[0]) / (Math.sqrt(unbiased[1]) + 1e-8);
    }
    expect((await model.getWeights()[0]!.data())[0]).to.be.closeTo(w, 1e-4);
  });

  it('ends after the step under way when it is aborted, with the losses so far', async () => {
    const controller = new AbortController();
    const onStep = (step: number) => step === 2 && controller.abort();
    const {losses} = await train(task(1, 50), {lr: 0.1, signal: controller.signal, onStep});
    expect(losses).to.have.length(2);
    expect(asked).to.deep.equal([0, 1]);
  });

  it('says so when the loss is no number any more', async () => {
    const error = await train(task(Number.POSITIVE_INFINITY), {lr: 0.1, signal, onStep: () => {}}).catch(
      (e: Error) => e,
    );
    expect(error).to.be.instanceOf(UserError);
    expect((error as Error).message).to.match(
      /^the loss became NaN at step 1: try a smaller --lr than 0\.1$/,
    );
  });
});
