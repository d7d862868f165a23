import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {writeSafetensors} from '../../src/files/safetensors.ts';
import {onBackend, randomTensors, tinyConfig, tinyTokenizer} from '../demos/llama/fixtures.ts';
import {fidelitySuite} from './fidelity.ts';
import {evenWindows} from './fidelity_data.ts';
import {fidelityRows} from './fidelity_rows.ts';

interface Run {
  row: string;
  batch: number;
  cost: number;
  loss: number;
  seconds: number;
  losses: number[];
  curve: {step: number; seconds: number}[];
}

describe('bench fidelity', () => {
  let folder: string;
  onBackend('cpu');
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fidelity-'));
    const json = tinyConfig({hidden_size: 48, intermediate_size: 64, vocab_size: 64});
    await writeFile(join(folder, 'config.json'), JSON.stringify(json));
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tinyTokenizer()));
    await writeFile(join(folder, 'model.safetensors'), writeSafetensors(randomTensors(json)));
    await writeFile(join(folder, 'text.txt'), 'abc dmn qrab cdef '.repeat(30));
  });
  after(() => rm(folder, {recursive: true}));

  async function run(only: string[]) {
    const saved: number[] = [];
    const results = (await fidelitySuite({
      rounds: 1,
      shapes: undefined,
      own: false,
      fidelity: {
        ...{model: folder, data: [join(folder, 'text.txt')], only, seeds: [0]},
        ...{steps: 3, length: 6, windows: 5},
      },
      say: () => {},
      save: async (list) => void saved.push(list.length),
    })) as Run[];
    return {results, saved};
  }

  it('trains every kind of configuration, and saves after each', async () => {
    const {results, saved} = await run([
      'batch 16',
      'batch 4',
      '0.5, first tenth',
      'rows 0.5',
      'top half',
      'head',
      'paper, score w',
    ]);
    expect(saved).to.deep.equal(results.map((_, i) => i + 1));
    for (const {losses, curve, seconds, loss} of results) {
      expect(losses).to.have.length(3);
      expect(curve.at(-1)!.step).to.equal(3);
      expect(seconds).to.be.above(0);
      expect(Number.isFinite(loss)).to.equal(true);
    }
    const cost = Object.fromEntries(results.map((result) => [result.row, result.cost]));
    expect(cost['exact LoRA, batch 16']).to.equal(1);
    expect(cost['exact LoRA, batch 4']).to.equal(0.25);
    expect(cost['rows 0.5']).to.be.within(0.75, 0.85); // the head's gradient is exact
    expect(cost['exact LoRA, top half of the layers']).to.be.within(0.7, 0.85);
    expect(cost['exact LoRA, head keep 0.25']).to.be.within(0.9, 0.999);
  });

  it('leaves the model as it was, so that a seed gives the same losses again', async () => {
    const {results} = await run(['0.5, first tenth']);
    const again = await run(['0.5, first tenth']);
    expect(again.results.map(({losses}) => losses)).to.deep.equal(results.map(({losses}) => losses));
  });

  it('says which configurations there are', async () => {
    const error = await run(['nothing']).catch((reason: Error) => reason);
    expect(String(error)).to.match(/--rows nothing is part of none of: exact LoRA, batch 16; /);
  });

  it('has names that differ', () => {
    const names = fidelityRows(8).map(({name}) => name);
    expect(new Set(names).size).to.equal(names.length);
  });

  it('spreads held-out windows over the whole text', async () => {
    const ids = Int32Array.from({length: 20}, (_, i) => i);
    const source = evenWindows(ids, {length: 8, windows: 3, batchSize: 2});
    expect(source.count).to.equal(2);
    const [first, second] = [await source.batch(0), await source.batch(1)];
    expect(first.ids.arraySync().map(([start]) => start)).to.deep.equal([0, 6]);
    expect(second.ids.arraySync().map(([start]) => start)).to.deep.equal([11]);
    expect(second.labels.arraySync()[0]!.at(-1)).to.equal(19);
    tf.dispose([Object.values(first), Object.values(second)]);
  });
});
