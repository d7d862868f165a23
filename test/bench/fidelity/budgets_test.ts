import {expect} from 'chai';
import type {CELoRADense} from '../../../src/index.ts';
import type {ScoredLayer} from '../../../src/model/budget.ts';
import {divideByShare} from './budgets.ts';

const scored = (block: number, energies: number[], kept: number): ScoredLayer => ({
  layer: {name: `model.layers.${block}.mlp.up_proj`, units: energies.length} as CELoRADense,
  energies,
  kept,
  columnCost: 10,
});

describe('bench fidelity: budgets', () => {
  const steep = [8, 4, 2, 1, 0.5, 0.25, 0.125, 0.125];
  const flat = [1, 1, 1, 1, 1, 1, 1, 1];

  it('gives columns to where they are the largest share of their layer', () => {
    // shares of 1/2, 1/4, 1/8 and 1/16 of the steep one, and 1/8 eight times
    expect(divideByShare([scored(0, steep, 2), scored(0, flat, 0)], 'share')).to.deep.equal([2, 1]);
    expect(divideByShare([scored(0, steep, 4), scored(0, flat, 7)], 'share')).to.deep.equal([3, 8]);
  });

  it('does not depend on the size of the scores', () => {
    const small = flat.map((value) => value / 1000);
    expect(divideByShare([scored(0, steep, 4), scored(0, small, 7)], 'share')).to.deep.equal([3, 8]);
  });

  it('by depth prefers the layers whose dx goes on through more blocks', () => {
    expect(divideByShare([scored(0, flat, 4), scored(7, flat, 4)], 'depth')).to.deep.equal([1, 8]);
  });
});
