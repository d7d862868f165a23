import {expect} from 'chai';
import {DEFAULT_CONFIG} from '../../../src/index.ts';
import {DEFAULT_ROW, fidelityRows} from './rows.ts';

describe('bench fidelity: rows', () => {
  it('have names that differ', () => {
    const names = fidelityRows(8).map(({name}) => name);
    expect(new Set(names).size).to.equal(names.length);
  });

  it('have that of the defaults among them', () => {
    const row = fidelityRows(8).find(({name}) => name === DEFAULT_ROW)!;
    const {target, ...options} = row.apply;
    expect(DEFAULT_CONFIG).to.include(options);
    expect(row.budget).to.equal('calibrated'); // fineTune's
  });
});
