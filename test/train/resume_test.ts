import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  applyCELoRA,
  FileError,
  type FineTuneOptions,
  fineTune,
  type TokenBatch,
  type TrainingEvent,
} from '../../src/index.ts';
import {expectNoLeaks} from '../backends.ts';
import {bits, describeOnHost} from '../model/models.ts';
import {busyModel, busyOptions, memoryStore, recorded} from './runs.ts';
import {tinyLM} from './tiny_lm.ts';

type Event = TrainingEvent['type'];

/** What a run comes to, without what has to do with saving. */
const essence = (events: TrainingEvent[]) =>
  events.filter(({type}) => type !== 'checkpoint' && type !== 'resume');

const weightsOf = (model: ReturnType<typeof busyModel>) =>
  Promise.all(model.trainableWeights.map((weight) => bits(weight.read())));

describeOnHost('a run that is resumed', () => {
  let whole: Awaited<ReturnType<typeof recorded>>;
  let weights: number[][];

  before(async () => {
    tf.env().set('IS_TEST', false); // stock Dense leaves tensors in the eyes of the check
    const model = busyModel();
    whole = await recorded(busyOptions(model));
    weights = await weightsOf(model);
    model.dispose();
  });

  after(() => tf.env().set('IS_TEST', true));

  it('is worth the test: columns are selected, dropout differs from step to step, and the best is not the last', () => {
    const {result, events} = whole;
    expect(new Set(result.losses).size).to.equal(12);
    expect(events.filter(({type}) => type === 'refresh').length).to.be.above(3);
    expect(result.evaluations.map(({step}) => step)).to.deep.equal([4, 8, 12]);
  });

  it('has the losses, events and weights of one that was not, bit for bit, wherever it was stopped', async () => {
    for (let stop = 1; stop < 12; stop++) {
      const store = memoryStore();
      const controller = new AbortController();
      const first = busyModel();
      const begun = await recorded({
        ...busyOptions(first),
        checkpoints: {store, every: 5},
        signal: controller.signal,
        onEvent: ({type, step}) => {
          if (type === 'step' && step === stop) controller.abort();
        },
      });
      expect(begun.result.reason).to.equal('aborted');
      first.dispose();

      const second = busyModel();
      const checkpoints = {store, every: 5, resume: true};
      const {result, events} = await recorded({...busyOptions(second), checkpoints});
      expect(result, `stopped at ${stop}`).to.deep.equal(whole.result);
      const {losses} = begun.result;
      expect(events[0]).to.deep.include({type: 'resume', step: losses.length, losses});
      expect([...essence(begun.events), ...essence(events)].sort(byStep)).to.deep.equal(
        essence(whole.events).sort(byStep),
      );
      expect(await weightsOf(second)).to.deep.equal(weights);
      second.dispose();
    }
  });

  it('goes on from the last checkpoint when it ended without warning', async () => {
    const store = memoryStore();
    const first = busyModel();
    const crash = await recorded({
      ...busyOptions(first),
      checkpoints: {store, every: 3},
      onEvent: ({type, step}) => {
        if (type === 'step' && step === 8) throw new Error('power cut');
      },
    }).catch((error: Error) => error);
    expect(crash).to.be.instanceOf(Error);
    first.dispose();
    const second = busyModel();
    const checkpoints = {store, every: 3, resume: true};
    const {result, events} = await recorded({...busyOptions(second), checkpoints});
    expect(result).to.deep.equal(whole.result);
    expect(events[0]).to.deep.include({type: 'resume', step: 6});
    expect(await weightsOf(second)).to.deep.equal(weights);
    second.dispose();
  });

  it('that is done has its results at once, and can go on for more steps', async () => {
    const store = memoryStore();
    const checkpoints = {store, every: 100, resume: true};
    const model = busyModel();
    await recorded({...busyOptions(model), steps: 5, learningRate: 0.03, checkpoints});
    const done = await recorded({...busyOptions(model), steps: 5, learningRate: 0.03, checkpoints});
    expect(done.events.map(({type}) => type)).to.deep.equal(['resume'] satisfies Event[]);
    expect(done.result.losses).to.have.length(5);
    const more = await recorded({...busyOptions(model), steps: 9, learningRate: 0.03, checkpoints});
    expect(more.result.losses.slice(0, 5)).to.deep.equal(done.result.losses);
    expect(more.result.losses).to.have.length(9);
    expect(more.result.evaluations.map(({step}) => step)).to.deep.equal([4, 5, 8, 9]);
    expect((await fineTune({...busyOptions(model), steps: 9, checkpoints})).seconds).to.be.above(0);
    model.dispose();
  });

  it('has stopped early for good, with the best weights', async () => {
    const store = memoryStore();
    const run = async () => {
      const model = busyModel();
      const {evaluation, ...options} = busyOptions(model);
      const result = await recorded({
        ...options,
        learningRate: 0.5, // too much
        steps: 100,
        evaluation: {...evaluation!, every: 1, patience: 2},
        checkpoints: {store, resume: true},
      });
      const found = await weightsOf(model);
      model.dispose();
      return {...result, found};
    };
    const first = await run();
    expect(first.result.reason).to.equal('patience');
    const second = await run();
    expect(second.result).to.deep.equal(first.result);
    expect(second.events).to.have.length(1);
    expect(second.found).to.deep.equal(first.found);
  });

  it('is the same with blocks computed again in backward', async () => {
    const model = busyModel();
    const {result} = await recorded({...busyOptions(model), checkpointLayers: 1});
    expect(result).to.deep.equal(whole.result);
    expect(await weightsOf(model)).to.deep.equal(weights);
    model.dispose();
  });

  it('begins anew unless it is told to go on, over the older checkpoints', async () => {
    const store = memoryStore();
    const model = busyModel();
    await recorded({...busyOptions(model), checkpoints: {store, every: 4}});
    model.dispose();
    const again = busyModel();
    const {result, events} = await recorded({...busyOptions(again), steps: 2, checkpoints: {store}});
    expect(result.losses).to.deep.equal((await short(2)).losses);
    expect(events.map(({type}) => type))
      .to.include('checkpoint')
      .and.to.not.include('resume');
    again.dispose();
    const third = busyModel();
    const last = await recorded({...busyOptions(third), steps: 2, checkpoints: {store, resume: true}});
    expect(last.result).to.deep.equal(result);
    third.dispose();
  });

  async function short(steps: number) {
    const model = busyModel();
    const {result} = await recorded({...busyOptions(model), steps});
    model.dispose();
    return result;
  }

  it('leaves no tensors', async () => {
    const store = memoryStore();
    const checkpoints = {store, every: 2, resume: true};
    await expectNoLeaks(async () => {
      for (const steps of [4, 8]) {
        const model = busyModel();
        await recorded({...busyOptions(model), steps, checkpoints});
        model.dispose();
      }
    });
  });

  describe('is refused, and nothing changed,', () => {
    const failing = async (options: FineTuneOptions<TokenBatch>, message: string) => {
      const {model} = options;
      const before = await weightsOf(model);
      const error = await fineTune(options).catch((reason: Error) => reason);
      expect(error).to.be.instanceOf(FileError);
      expect((error as Error).message).to.equal(message);
      expect(await weightsOf(model)).to.deep.equal(before);
      model.dispose();
    };
    async function saved() {
      const store = memoryStore();
      const model = busyModel();
      await recorded({...busyOptions(model), steps: 2, checkpoints: {store}});
      model.dispose();
      return {store, resume: true};
    }

    it('for a model with other weights', async () => {
      const checkpoints = await saved();
      const wider = tinyLM({dropout: 0.2});
      applyCELoRA(wider, {target: /_proj$/, rank: 3});
      await failing(
        {...busyOptions(wider), checkpoints},
        'checkpoint-0.safetensors is of a run that trained other weights: number 1 is layers.0.q_proj/lora_a [8,2] ' +
          'there, and layers.0.q_proj/lora_a [8,3] here',
      );
      const fewer = tinyLM({dropout: 0.2, blocks: 1});
      applyCELoRA(fewer, {target: /_proj$/, rank: 2});
      await failing(
        {...busyOptions(fewer), checkpoints},
        'checkpoint-0.safetensors is of a run that trained other weights: number 15 is layers.1.q_proj/lora_a [8,2] ' +
          'there, and none here',
      );
    });

    it('for other options of CE-LoRA, and other layers that draw random numbers', async () => {
      const checkpoints = await saved();
      const other = tinyLM({dropout: 0.2});
      applyCELoRA(other, {target: /_proj$/, rank: 2, alpha: 4, keep: 0.75, loraDropout: 0.3});
      await failing(
        {...busyOptions(other), budget: 'uniform', checkpoints},
        'checkpoint-0.safetensors is of a run with other options: keep of layer layers.0.q_proj is 0.5 there, and 0.75 here',
      );
      const dry = tinyLM();
      applyCELoRA(dry, {target: /_proj$/, rank: 2});
      const error = await fineTune({...busyOptions(dry), checkpoints}).catch((reason: Error) => reason);
      expect((error as Error).message).to.match(/^checkpoint-0\.safetensors is of a run with other /);
      dry.dispose();
    });

    it('if no checkpoint is whole', async () => {
      const checkpoints = await saved();
      const {files} = checkpoints.store;
      const bytes = files.get('checkpoint-0.safetensors')!;
      bytes.fill(0, bytes.length - 100);
      await failing({...busyOptions(busyModel()), checkpoints}, 'checkpoint-0.safetensors is damaged');
    });
  });
});

function byStep(a: TrainingEvent, b: TrainingEvent): number {
  return a.step - b.step || (a.type < b.type ? -1 : a.type > b.type ? 1 : 0);
}
