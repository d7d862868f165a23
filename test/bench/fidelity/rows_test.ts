import {expect} from 'chai';
import {fidelityRows} from './rows.ts';

describe('bench fidelity: rows', () => {
  it('have names that differ', () => {
    const names = fidelityRows(8).map(({name}) => name);
    expect(new Set(names).size).to.equal(names.length);
  });
});
