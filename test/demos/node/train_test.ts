import {readdir} from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {type Options, readOptions} from '../../../demos/node/options.ts';
import type {Task} from '../../../demos/node/task.ts';
import {type TrainHooks, train} from '../../../demos/node/train.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {type ApplyModel, cosineSchedule, fineTune} from '../../../src/index.ts';
import {oneWeight} from '../../train/runs.ts';
import {onBackend} from '../llama/fixtures.ts';
import {temporaryFolder} from './demo.ts';

describe('train', () => {
  onBackend('cpu');
  const path = temporaryFolder();

  /** The loss of batch n is (w − n)², times `scale`. */
  function task(scale = 1, steps = 4) {
    const {model, data, loss, asked, weight} = oneWeight(scale);
    const heldOut = {count: 1, batch: () => ({n: 1})};
    const one = {
      model,
      steps,
      data,
      heldOut,
      loss: (batch: {n: number}, apply: ApplyModel) => loss(batch, apply),
    };
    return {task: one as unknown as Task, model: model as tfl.LayersModel, data, loss, asked, weight};
  }

  const optionsOf = (out: string, ...args: string[]) => readOptions(['--out', path(out), ...args]) as Options;

  const hooks = (changes: Partial<TrainHooks> = {}): TrainHooks => ({
    signal: new AbortController().signal,
    onStep: () => {},
    onResume: () => {},
    onPause: () => {},
    ...changes,
  });

  it('is the recipe with what the command line says', async () => {
    const seen: [number, number, number | undefined][] = [];
    const options = optionsOf(
      'a',
      '--lr',
      '0.5',
      '--warmup',
      '2',
      '--clip',
      '2',
      '--accumulate',
      '2',
      '--eval-every',
      '2',
    );
    const before = tf.memory();
    const mine = task(1, 6);
    const numTensors = tf.memory().numTensors;
    const result = await train(mine.task, 'celora', options, hooks({onStep: (...step) => seen.push(step)}));
    expect(tf.memory().numTensors).to.equal(numTensors);
    mine.model.dispose();
    expect(tf.memory().numTensors).to.equal(before.numTensors);

    const {model, data, loss} = task();
    const expected = await fineTune({
      ...{model, data, loss, steps: 6, accumulate: 2, optimizer: {clipNorm: 2}},
      learningRate: cosineSchedule(0.5, {warmUp: 2, floor: 0.1}),
      evaluation: {data: {count: 1, batch: () => ({n: 1})}, every: 2},
    });
    model.dispose();
    expect(result).to.deep.equal({...expected, seconds: result.seconds});
    expect(seen.map(([step, value]) => [step, value])).to.deep.equal(
      expected.losses.map((value, i) => [i + 1, value]),
    );
    // the held-out loss is known from the step after the evaluation on
    const [first, second] = expected.evaluations;
    expect(seen.map(([, , heldOut]) => heldOut).slice(0, 5)).to.deep.equal([
      undefined,
      undefined,
      first!.loss,
      first!.loss,
      second!.loss,
    ]);
    expect(await readdir(path('a', 'checkpoints'))).to.deep.equal(['celora']);
  });

  it('says what comes between its steps', async () => {
    const seen: string[] = [];
    const {task: one, model} = task();
    const options = optionsOf('pauses', '--eval-every', '2', '--save-every', '3');
    await train(
      one,
      'x',
      options,
      hooks({onStep: (step) => seen.push(`step ${step}`), onPause: () => seen.push('pause')}),
    );
    model.dispose();
    // the last step is evaluated and saved
    expect(seen.join()).to.equal('step 1,step 2,pause,step 3,pause,step 4,pause,pause');
  });

  it('does not clip with --clip 0', async () => {
    const finals: number[] = [];
    for (const clip of ['0', '0.01', '1e9']) {
      const {task: one, weight, model} = task(1, 3);
      await train(one, 'x', optionsOf(`clip${clip}`, '--lr', '0.1', '--clip', clip), hooks());
      finals.push(await weight());
      model.dispose();
    }
    expect(finals[0]).to.equal(finals[2]);
    expect(finals[1]).to.not.equal(finals[0]);
  });

  it('ends after the step under way when it is aborted, and goes on from there with --resume', async () => {
    const whole = task(1, 9);
    const {losses} = await train(whole.task, 'x', optionsOf('whole'), hooks());
    const controller = new AbortController();
    const onStep = (step: number) => step === 2 && controller.abort();
    const {signal} = controller;
    const first = task(1, 9);
    const begun = await train(first.task, 'x', optionsOf('b'), hooks({signal, onStep}));
    expect(begun.losses).to.have.length(2);
    expect(first.asked).to.deep.equal([0, 1]);
    const second = task(1, 9);
    const steps: number[] = [];
    const onResume = (step: number) => steps.push(step);
    const {losses: all} = await train(second.task, 'x', optionsOf('b', '--resume'), hooks({onResume}));
    expect(steps).to.deep.equal([2]);
    expect(second.asked).to.deep.equal([2, 3, 4, 5, 6, 7, 8]);
    expect(all).to.deep.equal(losses);
    for (const {model} of [whole, first, second]) model.dispose();
  });

  it('says so when the loss is no number any more', async () => {
    const {task: one, model} = task(Number.POSITIVE_INFINITY);
    const error = await train(one, 'x', optionsOf('c', '--lr', '0.1'), hooks()).catch((e: Error) => e);
    expect(error).to.be.instanceOf(UserError);
    expect((error as Error).message).to.equal(
      'the loss became no number at step 1: try a smaller --lr than 0.1',
    );
    model.dispose();
  });
});
