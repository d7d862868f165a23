import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect} from 'chai';
import {writeSafetensors} from '../../../src/files/safetensors.ts';
import {onBackend, randomTensors, tinyConfig, tinyTokenizer} from '../../demos/llama/fixtures.ts';
import type {FidelityOptions} from '../suite.ts';
import type {Result, Run, Timing} from './entries.ts';
import {fidelitySuite} from './suite.ts';

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

  const path = (name: string) => join(folder, name);

  async function run(only: string[], options: Partial<FidelityOptions> = {}) {
    const said: string[] = [];
    const results = await fidelitySuite({
      rounds: 1,
      shapes: undefined,
      own: false,
      ahead: false,
      base: undefined,
      fidelity: {
        ...{model: folder, data: [path('text.txt')], only, seeds: [0], steps: 3, length: 6, windows: 5},
        ...{time: false, processes: 1, gpus: 0, json: undefined, setup: {backend: 'cpu', flags: []}},
        ...options,
      },
      say: (text) => said.push(text),
      save: async (results) => {
        if (options.json) await writeFile(options.json, JSON.stringify({results}));
      },
    });
    return {results: results as Result[], said};
  }

  it('trains every kind of configuration, in several processes', async () => {
    const rows = [
      'batch 16',
      'batch 4',
      '0.5, first tenth',
      'rows 0.5',
      'top half',
      'head',
      'paper, score w',
    ];
    const others = [
      'MLPs 0.5',
      'DropBP',
      'by share 0.25',
      'depth 0.25',
      'half drawn',
      'all drawn',
      'calibrated 0.25, every third',
      'projected to 64',
    ];
    const {results, said} = await run([...rows, ...others], {processes: 2, steps: 6});
    const runs = results as Run[];
    expect(runs, said.join('\n')).to.have.length(15);
    for (const {curve, loss} of runs) {
      expect(curve.at(-1)!.step).to.equal(6);
      expect(Number.isFinite(loss)).to.equal(true);
    }
    const cost = Object.fromEntries(runs.map((result) => [result.row, result.cost]));
    expect(cost['exact LoRA, batch 16']).to.equal(1);
    expect(cost['exact LoRA, batch 4']).to.equal(0.25);
    expect(cost['rows 0.5']).to.be.within(0.75, 0.85); // the head's gradient is exact
    expect(cost['exact LoRA, top half of the layers']).to.be.within(0.7, 0.85);
    expect(cost['exact LoRA, head keep 0.25']).to.be.within(0.9, 0.999);
    expect(cost['tokens of MLPs 0.5']).to.be.within(0.8, 0.9);
    expect(cost['DropBP 0.5']).to.be.within(0.65, 0.85);
    expect(cost['by share 0.25']).to.be.within(0.6, 0.95);
  });

  it('gives a seed the same loss, whatever was trained before', async () => {
    const rows = ['batch 16', '0.5, first tenth'];
    const [both, alone] = [await run(rows), await run([rows[1]!])];
    expect(both.results.at(-1)).to.deep.equal(alone.results.at(-1));
  });

  it('does not do again what its file holds, and draws all of it', async () => {
    const json = path('results.json');
    const first = await run(['batch 16', 'batch 8'], {json});
    const more = await run(['batch 16', 'batch 8', 'uniform 0.5'], {json, seeds: [0, 1]});
    expect(more.said[0]).to.equal('4 to do, 2 done');
    expect(more.results.slice(0, 2)).to.deep.equal(first.results);
    const timed = await run(['batch 8', 'uniform 0.5'], {json, time: true});
    const times = timed.results.filter((result): result is Timing => result.kind === 'time');
    expect(times.map(({row}) => row)).to.deep.equal(['uniform 0.5', 'exact LoRA, batch 8']);
    for (const {milliseconds} of times) expect(milliseconds).to.be.above(0);
    for (const axis of ['cost', 'time']) {
      const svg = await readFile(path(`results.${axis}.svg`), 'utf8');
      expect(svg).to.match(/^<svg .*held-out loss.*uniform 0\.5.*<\/svg>$/s);
    }
    const error = await run(['batch 8'], {json, steps: 2}).catch((reason: Error) => reason);
    expect(String(error)).to.match(/results\.json holds runs of steps 3, not 2$/);
  });

  it('says which configurations there are', async () => {
    const error = await run(['nothing']).catch((reason: Error) => reason);
    expect(String(error)).to.match(/--rows nothing is part of none of: exact LoRA, batch 16; /);
  });
});
