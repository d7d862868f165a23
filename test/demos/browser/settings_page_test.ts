import {readFile} from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {unzipSync} from 'fflate';
import {loadLlama} from '../../../demos/llama/load.ts';
import {nextTokenLoss} from '../../../demos/llama/loss.ts';
import {textDataBatches} from '../../../demos/llama/text_batches.ts';
import {parseTextData} from '../../../demos/llama/text_data.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {evaluateLoss} from '../../../src/index.ts';
import {memoryFiles} from '../llama/fixtures.ts';
import type {DemoPage} from './demo_page.ts';
import {demoSuite, SMALL, slowly, TEXT} from './demo_suite.ts';
import {difference, logitsInNode, MODEL, VOCABULARY} from './in_node.ts';

/** Questions of one kind, and their answers. */
const ROWS = ['bay', 'sea', 'ship', 'whale', 'coast', 'captain', 'sailor', 'island', 'harbor', 'voyage'].map(
  (word) =>
    JSON.stringify({
      prompt: `The people of the United States and of the ${word} asked: `,
      completion: `the ${word} is great.`,
    }),
);
const QUESTIONS = [...ROWS, ...ROWS, ...ROWS].join('\n');

/** The held-out loss of the embedded model on a .jsonl, in Node. */
async function lossInNode(name: string, text: string, completionOnly: boolean): Promise<number> {
  await tf.setBackend('cpu');
  const {model, tokenizer} = await loadLlama(modelFolder(MODEL), {segments: true});
  const texts = parseTextData(name, new TextEncoder().encode(text))(tokenizer);
  const settings = {seq: 32, batch: 2, seed: 0, completionOnly, heldOutTokens: 2048};
  const {heldOut} = textDataBatches(texts, tokenizer, settings);
  const loss = await evaluateLoss(heldOut, ({ids, labels, segments}, apply) =>
    nextTokenLoss(model, ids, labels, {segments, apply}),
  );
  model.dispose();
  return loss;
}

describe("the browser demo's settings", function () {
  const suite = demoSuite(this);
  let demo: DemoPage;
  beforeEach(async () => {
    demo = await suite.open();
    await demo.soon('ready');
    await demo.takeNotices();
  });

  it('learn what follows the prompts alone, if asked to', async () => {
    await demo.set({...SMALL, steps: 2, completionOnly: true, compare: false});
    await demo.type(TEXT.repeat(40));
    await demo.page.click('#train');
    expect(await demo.error()).to.match(
      /^'typed\.txt' has no prompts: .* is for a \.jsonl\. Change the setting/,
    );
    expect(await demo.text('#stage')).to.equal('It did not begin.');

    const mimeType = 'application/jsonl';
    const buffer = Buffer.from(QUESTIONS);
    await demo.page.setInputFiles('#text-file input', {name: 'questions.jsonl', mimeType, buffer});
    for (const completionOnly of [true, false]) {
      await demo.set({completionOnly, exactEvery: completionOnly ? 0 : 1});
      await demo.page.click('#train');
      await demo.phase('training');
      await demo.soon('ready');
      const {about, baseLoss} = (await demo.events('prepared')).at(-1)!;
      if (completionOnly) expect(about).to.match(/^27 training texts in \d+ rows .*, 3 held-out texts$/);
      expect(baseLoss).to.be.closeTo(await lossInNode('questions.jsonl', QUESTIONS, completionOnly), 1e-3);
      const {saved} = (await demo.events('step')).at(-1)!.figures;
      if (completionOnly) expect(saved).to.be.above(0);
      else expect(saved).to.equal(0);
    }
  });

  slowly('hold the weights at half precision, in half the memory, and merge in float32', async () => {
    const run = async () => {
      await demo.page.click('#train');
      await demo.phase('training');
      await demo.soon('ready');
      const steps = await demo.events('step');
      return steps.at(-1)!.figures;
    };
    await demo.type(TEXT.repeat(40));
    await demo.set({...SMALL, steps: 3, batch: 1, rank: 2, compare: false});
    const whole = await run();
    await demo.set({base: 'float16'});
    const half = await run();
    const {parameters} = (await demo.events('loaded'))[0]!.info;
    const [reloaded] = await demo.events('reloaded');
    expect(reloaded!.info).to.include({parameters, base: 'float16'});
    expect(await demo.text('#model-about')).to.match(/held as float16$/);
    expect(whole.memory - half.memory).to.be.within(1.8 * parameters, 2.6 * parameters);
    expect(half.loss).to.be.closeTo(whole.loss, 0.01);

    await demo.watchReads(VOCABULARY);
    await demo.write('The whale');
    const logits = await demo.reads();
    const downloading = demo.page.waitForEvent('download');
    await demo.page.click('#save-merged');
    const files = unzipSync(await readFile(await (await downloading).path()));
    const merged = Object.fromEntries(
      Object.entries(files).map(([path, bytes]) => [path.split('/').at(-1)!, Uint8Array.from(bytes)]),
    );
    const inNode = await logitsInNode('The whale', {files: memoryFiles(merged)});
    expect(Math.min(...logits.map((values) => difference(values, inNode)))).to.be.below(1e-3);
  });
});
