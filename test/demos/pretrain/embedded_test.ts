import {readFile, stat} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {expect} from 'chai';
import {mobyDick, stateOfTheUnion} from '../../../demos/data.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {nextTokenLoss} from '../../../demos/llama/loss.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {bytesOf, split, tokensOf} from '../../../demos/pretrain/data.ts';
import {ByteNgram} from '../../../demos/pretrain/ngram.ts';
import {bitsPerByte} from '../../../demos/pretrain/pretrain.ts';
import {
  applyCELoRA,
  type BatchLoss,
  evaluateLoss,
  fineTune,
  type TokenBatch,
  textBatches,
} from '../../../src/index.ts';
import {onBackend} from '../llama/fixtures.ts';

const FOLDER = resolve(import.meta.dirname, '../../../demos/model');

describe('the embedded model', () => {
  onBackend('wasm');

  it('takes at most 8 MB', async () => {
    expect((await stat(join(FOLDER, 'model.safetensors'))).size).to.be.at.most(8e6);
  });

  it('states in its card fewer bits per byte than those of the byte 5-gram', async () => {
    const card = await readFile(join(FOLDER, 'README.md'), 'utf8');
    const figure = (row: RegExp) => Number(row.exec(card)![1]);
    const [own, ngram] = [figure(/this model \| ([\d.]+) /), figure(/byte 5-gram.* \| ([\d.]+) /)];
    expect(own).to.be.above(0.5);
    expect(own).to.be.below(ngram);
  });

  it('needs fewer bits for held-out speeches than the byte 5-gram', async () => {
    const {train, heldOut} = split(await stateOfTheUnion());
    const speeches = heldOut.toSorted((a, b) => a.length - b.length).slice(0, 3);
    const bytes = bytesOf(speeches);
    const {model, tokenizer, config} = await loadLlama(modelFolder(FOLDER));
    const ids = tokensOf(speeches, tokenizer);
    const loss = await evaluateLoss(
      textBatches(ids, {length: config.maxPositions, batchSize: 4}),
      ({ids, labels}, apply) => nextTokenLoss(model, ids, labels, {apply}),
    );
    model.dispose();
    const ngram = new ByteNgram(bytesOf(train)).bitsPerByte(bytes);
    expect(bitsPerByte(loss, ids.length, bytes.length)).to.be.below(ngram);
  });

  it('learns of Moby Dick by CE-LoRA: a tenth of a nat in a few steps', async () => {
    const {model, tokenizer} = await loadLlama(modelFolder(FOLDER));
    const ids = tokenizer.encode(await mobyDick());
    const last = Math.floor(0.9 * ids.length);
    const loss: BatchLoss<TokenBatch> = ({ids, labels}, apply) => nextTokenLoss(model, ids, labels, {apply});
    const heldOut = textBatches(ids.slice(last, last + 1025), {length: 128, batchSize: 8});
    applyCELoRA(model, {target: /_proj$/});
    const before = await evaluateLoss(heldOut, loss);
    const data = textBatches(ids.slice(0, last), {length: 128, batchSize: 4, seed: 0});
    await fineTune({model, data, loss, steps: 8, learningRate: 1e-3});
    expect(await evaluateLoss(heldOut, loss)).to.be.below(before - 0.1);
    model.dispose();
  });
});
