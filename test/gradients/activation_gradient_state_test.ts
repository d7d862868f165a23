import {expect} from 'chai';
import {ActivationGradient, type CELoRAConfig} from '../../src/index.ts';
import {expectNoLeaks} from '../backends.ts';
import {bits, describeOnHost} from '../model/models.ts';
import {dyOf, FROZEN_RANK, kernelMatrix, pass, variableOf} from './passes.ts';

/** As in a file: through JSON, the indices apart. */
function copy(state: Awaited<ReturnType<ActivationGradient['state']>>): typeof state {
  const {selection, ...rest} = state;
  const copied = JSON.parse(JSON.stringify(rest)) as typeof rest;
  return selection ? {...copied, selection: {...selection, indices: selection.indices.slice()}} : copied;
}

describeOnHost('the state of an ActivationGradient', () => {
  const base = {keep: 0.25, frozenRank: FROZEN_RANK, refreshEvery: 3, exactEvery: 0};

  const KINDS: [string, Partial<CELoRAConfig>, boolean][] = [
    ['columns of a frozen kernel', base, false],
    ['columns of a trainable kernel', base, true],
    ['exact steps, then columns', {...base, exactSteps: 3}, false],
    ['columns, every third pass exact', {...base, exactEvery: 3, refreshEvery: 4}, false],
    ['sampled rows', {...base, axis: 'rows'}, false],
  ];
  for (const [kind, options, trains] of KINDS) {
    it(`lets another one go on as it would, bit for bit: ${kind}`, async () => {
      const kernel = variableOf(kernelMatrix(1), trains);
      const dyAt = (i: number) => dyOf(i < 2 ? 0 : 1);
      const run = async (gradient: ActivationGradient, from: number, to: number) => {
        const results: number[][] = [];
        for (let i = from; i < to; i++) results.push(await bits(pass(gradient, kernel, dyAt(i))));
        return results;
      };
      for (let stop = 0; stop < 7; stop++) {
        const first = new ActivationGradient(options);
        await run(first, 0, stop);
        const state = copy(await first.state());
        const second = new ActivationGradient(options);
        await run(second, 0, 1); // what it had is forgotten
        second.restore(state);
        expect(copy(await second.state())).to.deep.equal(state);
        expect(await run(second, stop, 8)).to.deep.equal(await run(first, stop, 8));
        expect(second.stats).to.deep.equal(first.stats);
        first.dispose();
        second.dispose();
      }
    });
  }

  it('is freed with the rest', async () => {
    const kernel = variableOf(kernelMatrix(1), false);
    const first = new ActivationGradient(base);
    pass(first, kernel, dyOf(0)).dispose();
    const state = await first.state();
    first.dispose();
    await expectNoLeaks(() => {
      const second = new ActivationGradient(base);
      second.restore(state);
      second.dispose();
      expect(second.indices).to.equal(undefined);
      second.restore(state);
      pass(second, kernel, dyOf(0)).dispose();
      second.dispose();
    });
  });
});
