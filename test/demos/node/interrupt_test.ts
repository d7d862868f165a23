import {readdir, writeFile} from 'node:fs/promises';
import {expect} from 'chai';
import {adapterTensors, demo, type Flags, readRun, temporaryFolder, textOf, writeLlama} from './demo.ts';
import {curves, readChart} from './drawing.ts';

const STOPPING = 'stopping after this step and saving; once more to quit at once';

describe('Ctrl-C', () => {
  const path = temporaryFolder();

  before(async function () {
    if (process.platform === 'win32') this.skip(); // there a program cannot send it to another
    await writeLlama(path('llama'));
    await writeFile(path('text.txt'), textOf(20_000));
  });

  /** With one window of 4 tokens a pass a held-out evaluation takes 500 passes. */
  async function interrupted(out: string, steps: number, at: Parameters<typeof demo>[1], batch = 8) {
    const flags = {
      ...{backend: 'wasm', model: path('llama'), data: path('text.txt'), out: path(out)},
      ...{steps, batch, seq: 4, rank: 2, 'save-every': 10},
    };
    const ended = await demo(flags, at);
    expect(ended.code, ended.stderr).to.equal(0);
    expect(ended.stderr).to.include(STOPPING).and.to.not.include('error');
    expect(ended.stdout).to.match(/run\.json \(interrupted\)\n$/);
    return {...ended, run: await readRun(path(out)), svg: await readChart(path(out))};
  }

  it('while CE-LoRA trains ends it and saves what there is', async () => {
    const {run, svg, stdout} = await interrupted('celora', 1e6, {saved: 'celora'});
    expect(run)
      .to.include({interrupted: true, verdict: 'No comparison was made.'})
      .and.to.not.have.property('exact');
    expect(run.baseLoss).to.be.above(0);
    const {losses, loss, multiplyAdds} = run.celora!;
    expect(losses.length).to.be.within(10, 1e6 - 1);
    expect(losses.every(Number.isFinite)).to.equal(true);
    expect(loss).to.equal(null);
    expect(multiplyAdds % losses.length).to.equal(0);
    expect(curves(svg, 'celora')[0]).to.have.length(losses.length);
    expect(Object.keys(await adapterTensors(path('celora')))).to.have.length(28);
    expect(stdout).to.include(': adapter/, loss.svg, run.json (interrupted)');
  });

  it('while it trains can be gone on from, with the losses of a run that was not stopped', async () => {
    const flags: Flags = {
      ...{backend: 'wasm', model: path('llama'), data: path('text.txt'), 'no-compare': true},
      ...{steps: 150, batch: 8, seq: 4, rank: 2, 'save-every': 40},
    };
    const whole = await demo({...flags, out: path('whole')});
    expect(whole.code, whole.stderr).to.equal(0);
    const stopped = await demo({...flags, out: path('stopped')}, {saved: 'celora'});
    expect(stopped.stdout).to.match(/run\.json \(interrupted\)\n$/);
    const {losses} = (await readRun(path('stopped'))).celora!;
    expect(losses.length).to.be.within(40, 149);
    const ended = await demo({...flags, out: path('stopped'), resume: true});
    expect(ended.code, ended.stderr).to.equal(0);
    const [expected, found] = [await readRun(path('whole')), await readRun(path('stopped'))];
    expect(found.celora!.losses).to.deep.equal(expected.celora!.losses);
    expect(found.celora!.loss).to.equal(expected.celora!.loss);
    expect(found.celora!.losses.slice(0, losses.length)).to.deep.equal(losses);
  });

  it('while exact LoRA trains keeps all of CE-LoRA', async () => {
    const {run, svg} = await interrupted('exact', 100, {saved: 'exact'});
    expect(run.interrupted).to.equal(true);
    expect(run.celora!.losses).to.have.length(100);
    expect(run.celora!.loss).to.be.above(0);
    expect(run.exact!.losses.length).to.be.within(10, 100);
    expect(run.exact!.loss).to.equal(null);
    expect(run.celora!.losses[0]).to.equal(run.exact!.losses[0]);
    expect(curves(svg, 'exact')[0]).to.have.length(run.exact!.losses.length);
    expect(Object.keys(await adapterTensors(path('exact')))).to.have.length(28);
  });

  it('before training ends the evaluation, and leaves an earlier adapter where it is', async () => {
    const earlier = await adapterTensors(path('celora'));
    const {run, stdout, stderr} = await interrupted('celora', 5, 'before: held-out loss', 1);
    expect(run).to.include({interrupted: true, baseLoss: null}).and.to.not.have.any.keys('celora', 'exact');
    expect(stderr).to.not.include('100/100');
    expect(stdout).to.include(': loss.svg, run.json (interrupted)');
    expect(await adapterTensors(path('celora'))).to.deep.equal(earlier);
  });

  it('during the preparations, when there is nothing to save, ends the program at once', async () => {
    const out = path('digits');
    const ended = await demo({task: 'digits', backend: 'wasm', steps: 1, out}, 'base model');
    expect(ended.signal).to.equal('SIGINT');
    expect(await readdir(out)).to.deep.equal([]);
  });
});
