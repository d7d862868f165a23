import {fileURLToPath} from 'node:url';
import {expect} from 'chai';
import {runNode} from '../support/command.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Measured peaks, in activations of 16 LoRA blocks; what a block must keep at least is 3 (x, and the hidden 2). */
const MEASURED = {
  cpu: {stock: 199, freeing: 101, fixes: 150, both: 54, checkpoints: 48, all: 25},
  wasm: {stock: 285, freeing: 200, fixes: 152, both: 56, checkpoints: 55, all: 27},
};

describe('peak of memory of the gradient of 16 LoRA blocks', () => {
  let report: Record<string, {peak: number; same: boolean}>;
  before(async () => {
    const output = await runNode('test/gradients/peaks.ts', ROOT);
    report = JSON.parse(output.trim().split('\n').at(-1)!);
  });

  for (const [backend, measured] of Object.entries(MEASURED)) {
    const runs = {
      stock: 'stock',
      freeing: 'freeing',
      fixes: 'fixes',
      both: 'both',
      checkpoints: 'stock, checkpoints',
      all: 'both, checkpoints',
    };
    for (const [run, title] of Object.entries(runs) as [keyof typeof runs, string][]) {
      it(`is ${measured[run]} activations, the gradients those of stock tfjs: ${backend}, ${title}`, () => {
        const {peak, same} = report[`${backend}, ${title}`]!;
        expect(peak).to.be.within(measured[run] - 3, measured[run] + 3);
        expect(same).to.equal(true);
      });
    }
  }
});
