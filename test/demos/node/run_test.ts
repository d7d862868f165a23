import {writeFile} from 'node:fs/promises';
import {expect} from 'chai';
import {loadLlama} from '../../../demos/llama/load.ts';
import {nextTokenLoss} from '../../../demos/llama/loss.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {evaluateLoss, loadAdapter, textBatches} from '../../../src/index.ts';
import {readAdapter} from '../../../src/node.ts';
import {dataFolder, onBackend} from '../llama/fixtures.ts';
import {
  adapterTensors,
  demo,
  type Ended,
  type Flags,
  type Run,
  readRun,
  temporaryFolder,
  textOf,
  writeLlama,
} from './demo.ts';
import {curves, readChart} from './drawing.ts';

const METHOD_KEYS = [
  'evaluations',
  'loss',
  'losses',
  'multiplyAdds',
  'seconds',
  'secondsPerStep',
  'tokensPerSecond',
];
const PROJECTIONS = 'self_attn.q self_attn.k self_attn.v self_attn.o mlp.gate mlp.up mlp.down'.split(' ');

const peft = (layer: string, side: string) => `base_model.model.${layer}.lora_${side}.weight`;
const linesOf = (text: string) => text.trimEnd().split('\n');

describe('the Node demo on a Llama', () => {
  onBackend('cpu');
  const path = temporaryFolder();
  const SEQ = 16;
  let ended: Ended;
  let run: Run;

  before(async () => {
    await writeLlama(path('llama'));
    await writeFile(path('text.txt'), textOf(3000));
    ended = await demo({
      ...{backend: 'wasm', model: path('llama'), data: path('text.txt'), out: path('out')},
      ...{steps: 12, batch: 2, seq: SEQ, lr: 0.02},
      ...{rank: 2, alpha: 4, 'frozen-rank': 1, keep: 0.25, refresh: 5},
    });
    expect(ended.code, ended.stderr).to.equal(0);
    run = await readRun(path('out'));
  });

  it('says what it does, samples before and after, and who won', () => {
    const {baseLoss, celora, exact} = run;
    const winner = (key: 'loss' | 'secondsPerStep') =>
      celora![key]! <= exact![key]! ? 'CE-LoRA' : 'exact LoRA';
    expect(linesOf(ended.stdout).map((line) => line.replace(/⟩ .*"$/, '⟩ …"'))).to.deep.equal([
      `backend wasm: ${run.device}`,
      `llama: 2 layers, hidden 12; 2700 training tokens, ${18 * SEQ} held-out tokens`,
      `held-out loss before: ${baseLoss!.toFixed(4)}`,
      `sample before: "${textOf(3000).slice(2700, 2760)} ⟩ …"`,
      '14 layers adapted, 832 parameters trained (20.1 %)',
      `CE-LoRA: held-out loss ${celora!.loss!.toFixed(4)} after ${celora!.seconds.toFixed(1)} s`,
      `sample after: "${textOf(3000).slice(2700, 2760)} ⟩ …"`,
      `exact LoRA: held-out loss ${exact!.loss!.toFixed(4)} after ${exact!.seconds.toFixed(1)} s`,
      run.verdict,
      `${path('out')}: adapter/, loss.svg, run.json`,
    ]);
    expect(run.verdict).to.include(`Lower held-out loss: ${winner('loss')}, by `);
    expect(run.verdict).to.include(`Faster: ${winner('secondsPerStep')}, `);
  });

  it('shows its progress in plain lines where there is no terminal', () => {
    for (const method of ['CE-LoRA', 'exact LoRA']) {
      const done = `${method} █{16} 12/12 steps, loss \\d+\\.\\d{3}, \\d+ tokens/s, 0s left`;
      expect(ended.stderr).to.match(new RegExp(`^${done}$`, 'm'));
      expect(ended.stderr).to.match(new RegExp(`^${method}: held-out loss █{16} 100/100 %, 0s left$`, 'm'));
    }
    for (const line of linesOf(ended.stderr)) expect(line).to.match(/^[\w -]+(: [\w -]+)? [█░]{16} .* left$/);
  });

  it('writes into run.json what was asked and what came of it', () => {
    expect(run).to.include({task: 'llama on text.txt', backend: 'wasm', interrupted: false});
    expect(run.device).to.match(/^WebAssembly on .+, \d+ threads?$/);
    expect(run.options).to.deep.include({
      model: path('llama'),
      steps: 12,
      batch: 2,
      seq: SEQ,
      lr: 0.02,
    });
    expect(run.options.celora).to.deep.include({rank: 2, keep: 0.25, frozenRank: 1, refreshEvery: 5});
    for (const result of [run.celora!, run.exact!]) {
      expect(result).to.have.all.keys(METHOD_KEYS);
      expect(result.losses).to.have.length(12);
      expect(result.loss).to.be.below(run.baseLoss!);
      expect(result.losses.at(-1)).to.be.below(result.losses[0]!);
      expect(result.secondsPerStep!).to.be.within(0, result.seconds / 6);
      expect(result.tokensPerSecond).to.be.closeTo((12 * 2 * SEQ) / result.seconds, 1e-6);
    }
  });

  it('trains both on the same batches from the same start, CE-LoRA with fewer multiply-adds', () => {
    const [celora, exact] = [run.celora!, run.exact!];
    expect(celora.losses[0]).to.equal(exact.losses[0]);
    for (const [step, loss] of celora.losses.entries()) expect(loss).to.be.closeTo(exact.losses[step]!, 0.5);
    expect(celora.losses).to.not.deep.equal(exact.losses);
    expect(celora.multiplyAdds).to.be.within(0.5 * exact.multiplyAdds, 0.99 * exact.multiplyAdds);
  });

  it('draws both curves', async () => {
    const svg = await readChart(path('out'));
    for (const method of ['celora', 'exact'] as const) {
      expect(curves(svg, method).map((points) => points.length)).to.deep.equal([12, 12]);
    }
    expect(svg).to.include('training loss, llama on text.txt');
  });

  it('writes the trained adapter of every projection', async () => {
    const adapter = await adapterTensors(path('out'));
    const layers = [0, 1].flatMap((i) => PROJECTIONS.map((name) => `model.layers.${i}.${name}_proj`));
    const names = layers.flatMap((layer) => ['A', 'B'].map((side) => peft(layer, side)));
    expect(Object.keys(adapter)).to.have.members(names);
    expect(adapter[peft(layers[0]!, 'A')]!.shape).to.deep.equal([2, 12]);
    expect(adapter[peft(layers[0]!, 'B')]!.shape).to.deep.equal([24, 2]);
    for (const [name, {data}] of Object.entries(adapter)) {
      expect(data.every(Number.isFinite), name).to.equal(true);
      expect(
        data.every((value) => value === 0),
        name,
      ).to.equal(false); // as B is at the start
    }
  });

  it('measured with them, on the last tenth of the text', async () => {
    const {model, tokenizer} = await loadLlama(modelFolder(path('llama')));
    const tokens = tokenizer.encode(textOf(3000).slice(2700));
    const evaluate = () =>
      evaluateLoss(textBatches(tokens, {length: SEQ, batchSize: 18}), ({ids, labels}, apply) =>
        nextTokenLoss(model, ids, labels, {apply}),
      );
    expect(run.baseLoss).to.be.closeTo(await evaluate(), 1e-4);
    loadAdapter(model, await readAdapter(path('out', 'adapter')));
    expect(run.celora!.loss).to.be.closeTo(await evaluate(), 1e-4);
    model.dispose();
  });

  it('takes the options of the recipe: completions only, accumulated, blocks computed again, evaluations', async () => {
    const rows = Array.from({length: 40}, (_, i) => ({q: 'a big', a: `dog ${'abcdef'[i % 6]} ran`}));
    await writeFile(path('rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const flags: Flags = {
      ...{
        backend: 'wasm',
        model: path('llama'),
        data: path('rows.jsonl'),
        template: '{q} {a}',
        seq: 32,
        rank: 2,
      },
      ...{steps: 9, batch: 1, lr: 0.02, 'completion-only': true, accumulate: 3, warmup: 2, clip: 0.5},
      ...{'eval-every': 3, 'save-every': 4, 'no-compare': true, out: path('recipe')},
    };
    const ended = await demo({...flags, 'checkpoint-layers': 1});
    expect(ended.code, ended.stderr).to.equal(0);
    expect(ended.stdout).to.match(/; 36 training texts in 18 rows that are \d+ % full, 4 held-out texts$/m);
    expect(ended.stdout).to.include('sample before: "a big ⟩ ');
    expect(ended.stderr).to.match(/^CE-LoRA █{16} 9\/9 steps, loss [\d.]+, held out [\d.]+, \d+ tokens\/s/m);
    const {celora, baseLoss} = await readRun(path('recipe'));
    expect(celora!.evaluations.map(({step}) => step)).to.deep.equal([3, 6, 9]);
    const best = Math.min(...celora!.evaluations.map(({loss}) => loss));
    expect(celora!.loss).to.equal(best).and.to.be.below(baseLoss!);
    // nothing but memory depends on what is computed again; and all is there to go on with
    const again = await demo({...flags, steps: 12, resume: true});
    expect(again.code, again.stderr).to.equal(0);
    const longer = (await readRun(path('recipe'))).celora!;
    expect(longer.losses.slice(0, 9)).to.deep.equal(celora!.losses);
    expect(longer.losses).to.have.length(12);
    expect(longer.evaluations.slice(0, 3)).to.deep.equal(celora!.evaluations);
  });

  it('trains alone, some layers, on sampled rows, on prompts and completions', async () => {
    const rows = Array.from({length: 40}, (_, i) => ({
      prompt: 'a big',
      completion: ` dog ${'abcdef'[i % 6]} ran`,
    }));
    await writeFile(path('pairs.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const alone = await demo({
      ...{backend: 'wasm', model: path('llama'), data: path('pairs.jsonl'), out: path('alone')},
      ...{steps: 3, seq: 8, axis: 'rows', target: '[qv]_proj$', 'no-compare': true},
    });
    expect(alone.code, alone.stderr).to.equal(0);
    expect(alone.stdout).to.include('4 layers adapted').and.to.include('sample before: "a big ⟩ ');
    const result = await readRun(path('alone'));
    expect(result).to.not.have.property('exact');
    expect(result.celora!.losses).to.have.length(3);
    expect(result.options).to.deep.include({compare: false, target: '/[qv]_proj$/'});
    expect(result.options.celora).to.deep.include({axis: 'rows'});
    const targets = new Set(
      Object.keys(await adapterTensors(path('alone'))).map((name) => name.split('.').at(-3)),
    );
    expect([...targets]).to.have.members(['q_proj', 'v_proj']);
    const svg = await readChart(path('alone'));
    expect(curves(svg, 'celora')).to.have.length(2);
    expect(curves(svg, 'exact')).to.deep.equal([]);
  });
});

describe('the Node demo on a trained Llama', () => {
  const model = dataFolder('tinystories-656k');
  const path = temporaryFolder();

  it('lowers its loss, and with keep 1 is exact LoRA itself', async () => {
    const colours = ['red', 'blue', 'green', 'yellow'];
    const rows = Array.from({length: 40}, (_, i) => ({
      text: `Once upon a time, there was a little girl named Lily. She had a big ${colours[i % 4]} ball.`,
    }));
    await writeFile(path('stories.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const ended = await demo({
      ...{backend: 'wasm', model, data: path('stories.jsonl'), out: path()},
      ...{steps: 6, batch: 2, seq: 32, keep: 1, lr: 0.01},
    });
    expect(ended.code, ended.stderr).to.equal(0);
    const {baseLoss, celora, exact} = await readRun(path());
    expect(baseLoss).to.be.within(2, 6); // without training: ln 2048 = 7.6
    expect(celora!.loss).to.be.below(baseLoss! - 0.5);
    const {loss, losses, multiplyAdds} = celora!;
    expect(exact).to.deep.include({loss, losses, multiplyAdds});
    expect(ended.stdout).to.include('sample after: "Once upon a time, there was');
  });
});

describe('the Node demo without arguments', () => {
  const path = temporaryFolder();

  it('teaches a network of its own to read digits lying on their side', async () => {
    const out = path('new', 'folder');
    const ended = await demo({task: 'digits', backend: 'wasm', steps: 30, out});
    expect(ended.code, ended.stderr).to.equal(0);
    expect(ended.stderr).to.match(/^CE-LoRA █{16} 30\/30 steps, loss [\d.]+, \d+ images\/s, 0s left$/m);
    const [before, after] = [...ended.stdout.matchAll(/: ([\d.]+) % of 2000 lying digits read/g)].map(
      ([, share]) => Number(share),
    );
    expect(before).to.be.below(40);
    expect(after).to.be.above(before! + 20);
    const {task, baseLoss, celora, exact} = await readRun(out);
    expect(task).to.equal('digits lying on their side');
    expect(celora!.losses[0]).to.equal(exact!.losses[0]);
    expect(celora!.losses).to.have.length(30);
    for (const {loss} of [celora!, exact!]) expect(loss).to.be.below(0.5 * baseLoss!);
    expect(celora!.multiplyAdds).to.be.below(exact!.multiplyAdds);
    expect(linesOf(ended.stdout).at(-1)).to.equal(`${out}: adapter/, loss.svg, run.json`);
    expect(curves(await readChart(out), 'exact')).to.have.length(2);
    expect(Object.keys(await adapterTensors(out))).to.have.length(8);
  });
});
