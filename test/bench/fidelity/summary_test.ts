import {expect} from 'chai';
import type {Result} from './entries.ts';
import {fidelityTable, summarise} from './summary.ts';

const common = {data: 'a.txt', steps: 300, length: 256, windows: 192};
const run = (row: string, seed: number, batch: number, cost: number, loss: number): Result => ({
  ...{...common, kind: 'run', row, seed, batch, cost, loss, curve: [{step: 300, loss}]},
});
const time = (row: string, milliseconds: number): Result => ({
  ...{...common, kind: 'time', row, seed: 0, batch: 16, milliseconds},
});

describe('bench fidelity: summary', () => {
  const summaries = summarise([
    run('exact LoRA, batch 16', 0, 16, 1, 3),
    run('exact LoRA, batch 16', 1, 16, 1, 3.2),
    run('exact LoRA, batch 8', 0, 8, 0.5, 3.5),
    run('uniform 0.5', 0, 16, 0.75, 3.4),
    run('uniform 0.25', 0, 16, 0.4, 4),
    time('exact LoRA, batch 16', 40),
    time('exact LoRA, batch 8', 30),
    time('uniform 0.5', 32),
  ]);
  const of = (row: string) => summaries.find((summary) => summary.row === row)!;

  it('has the mean of the seeds and half their range', () => {
    expect(of('exact LoRA, batch 16')).to.deep.include({seeds: 2, cost: 1, milliseconds: 40});
    expect(of('exact LoRA, batch 16').loss).to.be.closeTo(3.1, 1e-12);
    expect(of('exact LoRA, batch 16').spread).to.be.closeTo(0.1, 1e-12);
  });

  it('says what exact LoRA has at the same cost and in the same time, between its batches', () => {
    expect(of('uniform 0.5').atEqualCost).to.be.closeTo(3.3, 1e-12);
    expect(of('uniform 0.5').atEqualTime).to.be.closeTo(3.42, 1e-12);
    expect(of('uniform 0.25')).to.include({
      atEqualCost: undefined,
      atEqualTime: undefined,
      milliseconds: undefined,
    });
  });

  it('is a table by falling cost', () => {
    const lines = fidelityTable(summaries).split('\n');
    expect(lines[0]).to.match(/^a\.txt +cost +held-out loss/);
    expect(
      lines.filter((line) => /^(exact|uniform)/.test(line)).map((line) => line.split(/ {2,}/)[0]),
    ).to.deep.equal(['exact LoRA, batch 16', 'uniform 0.5', 'exact LoRA, batch 8', 'uniform 0.25']);
  });
});
