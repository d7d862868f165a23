import {readdir, readFile} from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {loadLlama} from '../../../demos/llama/load.ts';
import {nextTokenLoss} from '../../../demos/llama/loss.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {pretrainBatches, split} from '../../../demos/pretrain/data.ts';
import {ByteNgram} from '../../../demos/pretrain/ngram.ts';
import {type PretrainOptions, readOptions} from '../../../demos/pretrain/options.ts';
import {type PretrainHooks, pretrain} from '../../../demos/pretrain/pretrain.ts';
import {evaluateLoss, type TrainingEvent} from '../../../src/index.ts';
import {onBackend} from '../llama/fixtures.ts';
import {temporaryFolder} from '../node/demo.ts';

const SENTENCES = [
  'the whale swims in the sea. ',
  'a ship sails on the sea. ',
  'the captain sees the whale. ',
];

/** Twenty texts, of which two are held out; as the sentences, but each in an order of its own. */
const TEXTS = Array.from({length: 20}, (_, i) =>
  Array.from({length: 12}, (_, j) => SENTENCES[(i + j * (1 + (i % 2))) % 3]).join(''),
);
const STEPS = 30;

describe('pretrain', () => {
  onBackend('cpu');
  const path = temporaryFolder();

  function optionsFor(name: string, ...more: string[]): PretrainOptions {
    const flags = {
      ...{merges: 12, hidden: 16, layers: 2, heads: 2, 'kv-heads': 1, intermediate: 24},
      ...{steps: STEPS, batch: 4, seq: 16, lr: 0.02, 'eval-every': 10, 'save-every': 10},
      ...{out: path(name), checkpoints: path(`${name}-states`)},
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    return readOptions([...args, ...more]) as PretrainOptions;
  }

  async function run(options: PretrainOptions, hooks: Partial<PretrainHooks> = {}) {
    const events: TrainingEvent[] = [];
    const report = await pretrain(TEXTS, options, {
      device: 'a device',
      ...hooks,
      onEvent(event) {
        events.push(event);
        hooks.onEvent?.(event);
      },
    });
    const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
    return {report, losses, events};
  }

  const weightsIn = (name: string) => readFile(path(name, 'model.safetensors'));

  it('lowers the loss, and writes a folder that loads as a Llama with the loss it states', async () => {
    const before = tf.memory().numTensors;
    const options = optionsFor('model');
    const {report, losses} = await run(options);
    expect(losses).to.have.lengthOf(STEPS);
    // 270 tokens, equally likely at the start
    expect(losses[0]).to.be.closeTo(Math.log(270), 0.1);
    // without looking at what stands before, a token of these texts has about 2.9
    expect(losses.at(-1)).to.be.below(2.5);

    expect((await readdir(path('model'))).sort()).to.deep.equal([
      ...['README.md', 'config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
    ]);
    const {model, config, tokenizer} = await loadLlama(modelFolder(path('model')));
    expect(config).to.include({vocabSize: 270, numLayers: 2, maxPositions: 16, tiedHead: true, bosId: 0});
    const {heldOut, tokens} = pretrainBatches(split(TEXTS), tokenizer, options);
    const loss = await evaluateLoss(heldOut, ({ids, labels}, apply) =>
      nextTokenLoss(model, ids, labels, {apply}),
    );
    model.dispose();
    expect(loss).to.equal(report!.loss);
    expect(tf.memory().numTensors, 'tensors left behind').to.equal(before);

    const bytes = new TextEncoder().encode(split(TEXTS).heldOut.join('\n'));
    expect(report!.bitsPerByte).to.be.closeTo(((loss / Math.LN2) * tokens.heldOut) / bytes.length, 1e-12);
    const ngram = new ByteNgram(new TextEncoder().encode(split(TEXTS).train.join('\n'))).bitsPerByte(bytes);
    expect(report!.ngramBitsPerByte).to.equal(ngram);
  });

  it('says in the card what it was trained on, where, how long, and how good it is', async () => {
    const {report} = await run(optionsFor('card'));
    const card = await readFile(path('card', 'README.md'), 'utf8');
    for (const part of [
      `${report!.bitsPerByte.toFixed(3)} (`,
      `| ${report!.ngramBitsPerByte.toFixed(3)} |`,
      ...['18 speeches', 'every tenth speech: 2,', '30 steps of 4 × 16 tokens', 'on a device', 'CC0 1.0'],
      `${report!.parameters} parameters`,
    ]) {
      expect(card).to.include(part);
    }
    expect(report!.fileBytes).to.equal((await weightsIn('card')).length);
    expect(report!.fileBytes).to.be.within(2 * report!.parameters, 2 * report!.parameters + 4000);
  });

  it('is decided by its seed', async () => {
    await run(optionsFor('first', '--steps=5'));
    await run(optionsFor('second', '--steps=5'));
    await run(optionsFor('third', '--steps=5', '--seed=1'));
    const [first, second, third] = await Promise.all(['first', 'second', 'third'].map(weightsIn));
    expect(second!.equals(first!)).to.equal(true);
    expect(third!.equals(first!)).to.equal(false);
  });

  it('goes on from where it was interrupted to the same model, bit for bit', async () => {
    const whole = await run(optionsFor('whole'));
    const controller = new AbortController();
    const stopped = await run(optionsFor('stopped'), {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.step === 14) controller.abort();
      },
    });
    expect(stopped.report).to.equal(undefined);
    expect(await readdir(path('stopped')).catch(() => 'no folder')).to.equal('no folder');
    const resumed = await run(optionsFor('stopped', '--resume'));
    expect(resumed.events[0]).to.include({type: 'resume'});
    expect(resumed.losses.length).to.be.below(STEPS - 10);
    expect(resumed.losses.at(-1)).to.equal(whole.losses.at(-1));
    expect((await weightsIn('stopped')).equals(await weightsIn('whole'))).to.equal(true);
  });

  it('can be interrupted in the evaluation at its end, too', async () => {
    const controller = new AbortController();
    const options = optionsFor('late', '--steps=3');
    const {report} = await run(options, {signal: controller.signal, onEvaluate: () => controller.abort()});
    expect(report).to.equal(undefined);
    const resumed = await run({...options, resume: true});
    expect(resumed.losses).to.deep.equal([]);
    expect(resumed.report!.loss).to.be.above(0);
  });

  it('refuses sequences longer than what there is', async () => {
    let thrown: unknown;
    await run(optionsFor('long', '--seq=4096')).catch((error: unknown) => {
      thrown = error;
    });
    expect(thrown).to.be.instanceOf(UserError);
    expect((thrown as Error).message).to.match(
      /^--seq must be below \d+, the tokens there are, but is 4096$/,
    );
  });
});
