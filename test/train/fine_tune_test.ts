import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {
  applyCELoRA,
  cosineSchedule,
  type FineTuneOptions,
  fineTune,
  type TrainingEvent,
} from '../../src/index.ts';
import {expectNoLeaks} from '../backends.ts';
import {celoraLayer, describeOnHost, expectSameBits, randomTensor, settle} from '../model/models.ts';
import {failure, memoryStore, oneWeight} from './runs.ts';

describeOnHost('fineTune', () => {
  it('takes the steps of AdamW at the rates of the schedule, batch by batch', async () => {
    const {model, data, loss, asked, weight} = oneWeight();
    const events: TrainingEvent[] = [];
    const learningRate = cosineSchedule(0.5, {warmUp: 2});
    const result = await fineTune({
      ...{model, data, loss, learningRate, steps: 6, optimizer: {weightDecay: 0.1, clipNorm: 3}},
      onEvent: (event) => events.push(event),
    });
    expect(asked).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect(result.reason).to.equal('steps');
    expect(result).to.deep.include({evaluations: [], best: undefined});
    expect(result.seconds).to.be.above(0);
    expect(events).to.deep.equal(
      result.losses.map((value, i) => ({
        type: 'step',
        step: i + 1,
        loss: value,
        learningRate: learningRate(i, 6),
      })),
    );
    let [w, m, v] = [0, 0, 0];
    for (const [step, n] of asked.entries()) {
      expect(result.losses[step]).to.be.closeTo((w - n) ** 2, 1e-3);
      const gradient = Math.max(-3, Math.min(3, 2 * (w - n)));
      m = 0.9 * m + 0.1 * gradient;
      v = 0.999 * v + 0.001 * gradient ** 2;
      const [mean, square] = [m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))];
      const rate = learningRate(step, 6);
      w -= rate * 0.1 * w + (rate * mean) / (Math.sqrt(square) + 1e-8);
    }
    expect(await weight()).to.be.closeTo(w, 1e-4);
  });

  it('has defaults: clipping at 1, no weight decay; a number as learning rate', async () => {
    const finals: number[] = [];
    for (const optimizer of [
      undefined,
      {clipNorm: 1, weightDecay: 0},
      {clipNorm: Number.POSITIVE_INFINITY},
    ]) {
      const {model, data, loss, weight} = oneWeight();
      await fineTune({model, data, loss, learningRate: 0.1, steps: 4, ...(optimizer ? {optimizer} : {})});
      finals.push(await weight());
    }
    expect(finals[0]).to.equal(finals[1]);
    expect(finals[2]).to.not.equal(finals[0]);
  });

  it('accumulates batches by their weights', async () => {
    const {model, data, loss, asked, weight} = oneWeight();
    const weighted = {
      ...data,
      batch: async (n: number) => ({...(await data.batch(n)), weight: n % 2 === 0 ? 1 : 3}),
    };
    const learningRate = 0.5;
    const {losses} = await fineTune({model, data: weighted, loss, learningRate, steps: 2, accumulate: 2});
    expect(asked).to.deep.equal([0, 1, 2, 3]);
    expect(losses[0]).to.be.closeTo((0 + 3 * 1) / 4, 1e-6);
    // the first step of Adam goes by the learning rate
    expect(losses[1]).to.be.closeTo(((0.5 - 2) ** 2 + 3 * (0.5 - 3) ** 2) / 4, 1e-4);
    expect(await weight()).to.be.within(0.9, 1.01);
  });

  it('takes a step with weights of 0 as one with equal weights', async () => {
    const {model, data, loss} = oneWeight();
    const weightless = {...data, batch: (n: number) => ({n, weight: 0})};
    const {losses} = await fineTune({
      model,
      data: weightless,
      loss,
      learningRate: 0,
      steps: 1,
      accumulate: 2,
    });
    expect(losses).to.deep.equal([0.5]);
  });

  it('evaluates every so many steps and at the end, and keeps the best weights', async () => {
    const seen: number[] = [];
    const run = async (keepBest?: boolean) => {
      const {model, data, loss, weight} = oneWeight();
      const events: TrainingEvent[] = [];
      // the loss on n = 1 falls, then rises
      const heldOut = {count: 2, batch: (index: number) => ({n: 1, weight: index + 1})};
      const evaluation = {data: heldOut, every: 3, ...(keepBest === undefined ? {} : {keepBest})};
      const onEvent = (event: TrainingEvent) => events.push(event);
      const result = await fineTune({model, data, loss, learningRate: 0.3, steps: 10, evaluation, onEvent});
      seen.push(await weight());
      return {result, evals: events.filter(({type}) => type === 'eval')};
    };
    const {result, evals} = await run();
    expect(result.evaluations.map(({step}) => step)).to.deep.equal([3, 6, 9, 10]);
    expect(evals).to.deep.equal(
      result.evaluations.map((one, i) => ({
        type: 'eval',
        ...one,
        best: i <= result.evaluations.indexOf(result.best!),
      })),
    );
    expect(result.best!.loss).to.equal(Math.min(...result.evaluations.map(({loss}) => loss)));
    expect(result.best!.step).to.be.below(10);
    expect((seen[0]! - 1) ** 2).to.be.closeTo(result.best!.loss, 1e-6);
    const last = await run(false);
    expect(last.result.evaluations).to.deep.equal(result.evaluations);
    expect((seen[1]! - 1) ** 2).to.be.closeTo(result.evaluations.at(-1)!.loss, 1e-5);
  });

  it('stops early when the held-out loss has not fallen for a while', async () => {
    const {model, data, loss} = oneWeight();
    const evaluation = {data: {count: 1, batch: () => ({n: -1})}, every: 1, patience: 3};
    const result = await fineTune({model, data, loss, learningRate: 0.3, steps: 50, evaluation});
    expect(result.reason).to.equal('patience');
    // batch 0 has the gradient 0, from then on the weight moves away
    expect(result.evaluations.map(({step}) => step)).to.deep.equal([1, 2, 3, 4]);
    expect(result.best!.step).to.equal(1);
    expect(result.losses).to.have.length(4);
  });

  it('ends after the step under way when it is aborted', async () => {
    const {model, data, loss, asked} = oneWeight();
    const controller = new AbortController();
    const onEvent = ({type, step}: TrainingEvent) => {
      if (type === 'step' && step === 2) controller.abort();
    };
    const {signal} = controller;
    const result = await fineTune({model, data, loss, learningRate: 0.1, steps: 50, signal, onEvent});
    expect(result.reason).to.equal('aborted');
    expect(result.losses).to.have.length(2);
    expect(asked).to.deep.equal([0, 1]);
    const none = await fineTune({model, data, loss, learningRate: 0.1, steps: 50, signal});
    expect(none).to.deep.include({reason: 'aborted', losses: []});
  });

  it('breaks an evaluation off when it is aborted', async () => {
    const {model, data, loss} = oneWeight();
    const controller = new AbortController();
    let batches = 0;
    const heldOut = {
      count: 1000,
      batch(n: number) {
        if (++batches === 3) controller.abort();
        return {n};
      },
    };
    const evaluation = {data: heldOut, every: 2};
    const {signal} = controller;
    const result = await fineTune({model, data, loss, learningRate: 0.1, steps: 5, evaluation, signal});
    expect(result).to.deep.include({reason: 'aborted', evaluations: []});
    expect(result.losses).to.have.length(2);
    expect(batches).to.equal(3);
  });

  it('lets events and timers through', async () => {
    const {model, data, loss} = oneWeight();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const {signal} = controller;
    const {reason} = await fineTune({model, data, loss, learningRate: 0.1, steps: 1e6, signal});
    expect(reason).to.equal('aborted');
  });

  it('tells which layers selected columns, after the step in which they did', async () => {
    const model = settle(
      tfl.sequential({
        layers: ['first', 'second'].map((name) => tfl.layers.dense({units: 8, name, inputShape: [8]})),
      }),
    );
    applyCELoRA(model, {rank: 2, keep: 0.5, frozenRank: 1, refreshEvery: 3});
    const events: TrainingEvent[] = [];
    await fineTune({
      model,
      data: {count: 1, batch: () => ({x: randomTensor([4, 8])})},
      loss: ({x}: {x: tf.Tensor}, apply) => tf.mean(tf.square(apply(model, x))),
      ...{learningRate: 0.01, steps: 5, onEvent: (event) => events.push(event)},
    });
    // no gradient goes through the first layer to its input
    expect(events.filter(({type}) => type === 'refresh')).to.deep.equal([
      {type: 'refresh', step: 1, layers: ['second']},
      {type: 'refresh', step: 4, layers: ['second']},
    ]);
    expect(celoraLayer(model, 'second').gradient.stats.backwardPasses).to.equal(5);
    model.dispose();
  });

  it('frees all that it makes, also after errors, and disposes the tensors of batches', async () => {
    const {model, loss} = oneWeight();
    const data = {
      count: 1,
      batch: (n: number) => ({n, many: [tf.ones([2]), tf.ones([3])], x: tf.zeros([1])}),
    };
    const evaluation = {data, every: 2};
    const options = {model, data, loss, learningRate: 0.1, steps: 3, accumulate: 2, evaluation};
    const boom = () => {
      throw new Error('boom');
    };
    await expectNoLeaks(() => fineTune({...options, checkpoints: {store: memoryStore(), every: 2}}));
    const FAILING: Partial<FineTuneOptions<{n: number}>>[] = [
      {onEvent: boom},
      {loss: boom},
      {loss: (batch, apply) => tf.mul(loss(batch, apply), Number.NaN)},
      {data: {count: 1, batch: (n) => (n === 2 ? boom() : {n})}},
      {evaluation: {data: {count: 1, batch: boom}, every: 2}},
      {evaluation: {data: {count: 0, batch: boom}, every: 2}},
    ];
    for (const change of FAILING) {
      await expectNoLeaks(() => failure(fineTune({...options, ...change})));
    }
  });

  it('leaves stock tfjs as it was', async () => {
    const {model, data, loss} = oneWeight();
    const before = [tf.getGradient('Sum'), Object.getOwnPropertyDescriptor(tf.engine(), 'gradients')];
    await fineTune({model, data, loss, learningRate: 0.1, steps: 1});
    expect([tf.getGradient('Sum'), Object.getOwnPropertyDescriptor(tf.engine(), 'gradients')]).to.deep.equal(
      before,
    );
  });

  it('updates and saves the statistics of BatchNormalization', async () => {
    const make = () => {
      const layers = [
        tfl.layers.batchNormalization({inputShape: [3], momentum: 0.5, name: 'norm'}),
        tfl.layers.dense({units: 1, kernelInitializer: 'ones', name: 'dense'}),
      ];
      return tfl.sequential({layers});
    };
    const run = async (model: tfl.LayersModel, steps: number, store = memoryStore(), resume = false) => {
      await fineTune({
        model,
        data: {count: 1, batch: (n) => ({x: randomTensor([5, 3], n + 1)})},
        loss: ({x}: {x: tf.Tensor}, apply) => tf.mean(tf.square(apply(model, x))),
        ...{learningRate: 0.1, steps, checkpoints: {store, resume}},
      });
      return store;
    };
    const [whole, first, second] = [make(), make(), make()];
    await run(whole, 4);
    await run(second, 4, await run(first, 2), true);
    for (const [i, weight] of whole.getWeights().entries())
      await expectSameBits(second.getWeights()[i]!, weight);
    const moved = (await (whole.layers[0]!.getWeights()[2] as tf.Tensor).data())[0];
    expect(moved).to.not.equal(0);
  });

  const REFUSED: [string, object, string][] = [
    ['steps', {steps: 0}, 'steps must be an integer ≥ 1, but is 0'],
    ['accumulate', {accumulate: 1.5}, 'accumulate must be an integer ≥ 1, but is 1.5'],
    ['checkpointLayers', {checkpointLayers: 0}, 'checkpointLayers must be an integer ≥ 1, but is 0'],
    ['learningRate', {learningRate: -1}, 'learningRate must be a number ≥ 0 or a schedule, but is -1'],
    ['evaluation.every', {evaluation: {every: 0}}, 'evaluation.every must be an integer ≥ 1, but is 0'],
    [
      'patience',
      {evaluation: {every: 1, patience: 0}},
      'evaluation.patience must be an integer ≥ 1, but is 0',
    ],
    ['checkpoints.every', {checkpoints: {every: -1}}, 'checkpoints.every must be an integer ≥ 1, but is -1'],
  ];
  for (const [option, change, message] of REFUSED) {
    it(`refuses a bad ${option} by name`, async () => {
      const {model, data, loss} = oneWeight();
      const options = {model, data, loss, learningRate: 0.1, steps: 1, ...change};
      expect((await failure(fineTune(options))).message).to.equal(`fineTune: ${message}`);
    });
  }

  it('refuses options of AdamW as it does, and a model that is frozen', async () => {
    const {model, data, loss} = oneWeight();
    const options = {model, data, loss, learningRate: 0.1, steps: 1};
    const bad = await failure(fineTune({...options, optimizer: {beta1: 1}}));
    expect(bad.message).to.equal('AdamW: beta1 must be a number from 0 to below 1, but is 1');
    model.trainable = false;
    expect((await failure(fineTune(options))).message).to.equal(
      'fineTune: nothing in model one is trainable',
    );
  });
});
