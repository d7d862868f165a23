import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  applyCELoRA,
  type FineTuneOptions,
  fineTune,
  languageModelLoss,
  type TokenBatch,
  textBatches,
} from '../../src/index.ts';
import {celoraLayers} from '../../src/model/convert.ts';
import {describeOnHost, SMALL} from '../model/models.ts';
import {failure, memoryStore, recorded, TOKENS} from './runs.ts';
import {tinyLM} from './tiny_lm.ts';

describeOnHost('fineTune: budget and exactSteps', () => {
  function run(options: Parameters<typeof applyCELoRA>[1] = {}): FineTuneOptions<TokenBatch> {
    const model = tinyLM();
    applyCELoRA(model, {...SMALL, target: /_proj$/, ...options});
    const data = textBatches(TOKENS, {length: 6, batchSize: 2, seed: 4});
    return {model, data, loss: languageModelLoss(model), steps: 6, learningRate: 0.01};
  }
  const keeps = ({model}: Pick<FineTuneOptions<TokenBatch>, 'model'>) =>
    celoraLayers(model).map(({config}) => config.keep);

  it('divides the columns anew before the first step, unless the budget is uniform', async () => {
    const [calibrated, uniform] = [run(), run()];
    await fineTune({...calibrated, steps: 1});
    await fineTune({...uniform, steps: 1, budget: 'uniform'});
    expect(new Set(keeps(uniform))).to.deep.equal(new Set([0.5]));
    expect(new Set(keeps(calibrated)).size).to.be.above(2);
  });

  it('goes on with the columns of the checkpoint, and with its losses', async () => {
    const {result: whole} = await recorded(run());
    const store = memoryStore();
    const controller = new AbortController();
    const first = run();
    await fineTune({
      ...first,
      checkpoints: {store, every: 100},
      signal: controller.signal,
      onEvent: ({type, step}) => type === 'step' && step === 2 && controller.abort(),
    });
    // the weights are not those that were calibrated for: a second calibration would show
    const second = {...first, checkpoints: {store, resume: true}};
    const kept = keeps(first);
    expect((await recorded(second)).result.losses).to.deep.equal(whole.losses);
    expect(keeps(second)).to.deep.equal(kept);
    const third = {...run(), checkpoints: {store, resume: true}};
    expect((await recorded(third)).result.losses).to.deep.equal(whole.losses);
    expect(keeps(third)).to.deep.equal(kept);
  });

  it('stays exact for a fraction of the steps, however many batches are in one', async () => {
    const options = run({exactSteps: 1 / 3});
    // calibration may give a layer all of its columns
    await fineTune({...options, accumulate: 2, budget: 'uniform'});
    for (const {gradient} of celoraLayers(options.model)) {
      const {backwardPasses, exactPasses} = gradient.stats;
      if (backwardPasses > 0) expect([backwardPasses, exactPasses]).to.deep.equal([12, 4]);
      expect(gradient.exact).to.equal(false);
    }
    expect(celoraLayers(options.model).some(({gradient}) => gradient.stats.backwardPasses > 0)).to.equal(
      true,
    );
  });

  it('names a budget that there is none of', async () => {
    const error = await failure(fineTune({...run(), budget: 'even' as never}));
    expect(error.message).to.equal("fineTune: budget must be one of 'uniform', 'calibrated', but is 'even'");
  });

  it('leaks no tensor', async () => {
    const options = run();
    await fineTune({...options, steps: 1});
    for (const {gradient} of celoraLayers(options.model)) gradient.dispose();
    const {numTensors} = tf.memory();
    await fineTune({...options, steps: 1});
    for (const {gradient} of celoraLayers(options.model)) gradient.dispose();
    expect(tf.memory().numTensors).to.equal(numTensors);
  });
});
