import {expect} from 'chai';
import {cosineSchedule, linearSchedule, type Schedule} from '../../src/index.ts';

const rates = (schedule: Schedule, steps: number): number[] =>
  Array.from({length: steps}, (_, step) => schedule(step, steps));

describe('schedules', () => {
  it('warm up linearly, the peak being that of the last step of it', () => {
    for (const make of [linearSchedule, cosineSchedule]) {
      expect(rates(make(2, {warmUp: 5}), 100).slice(0, 6)).to.deep.equal([0.4, 0.8, 1.2, 1.6, 2, 2]);
      expect(rates(make(2, {warmUp: 0.05}), 100)).to.deep.equal(rates(make(2, {warmUp: 5}), 100));
      expect(rates(make(2), 3)[0]).to.equal(2);
    }
  });

  it('fall along a line', () => {
    const all = rates(linearSchedule(4, {warmUp: 2, floor: 0.25}), 8);
    expect(all).to.deep.equal([2, 4, 4, 3.5, 3, 2.5, 2, 1.5]);
    expect(linearSchedule(4, {floor: 0.25})(8, 8)).to.equal(1);
    expect(rates(linearSchedule(1), 4)).to.deep.equal([1, 0.75, 0.5, 0.25]);
  });

  it('fall along half a cosine', () => {
    const all = rates(cosineSchedule(2, {warmUp: 5, floor: 0.1}), 100);
    for (let step = 5; step < 100; step++) {
      const cosine = Math.cos((Math.PI * (step - 5)) / 95);
      expect(all[step]).to.be.closeTo(2 * (0.1 + (0.9 * (1 + cosine)) / 2), 1e-12);
      if (step > 5) expect(all[step]).to.be.below(all[step - 1]!);
    }
    expect(cosineSchedule(2)(50, 100)).to.be.closeTo(1, 1e-12);
  });

  it('stay at the floor beyond the last step', () => {
    for (const make of [linearSchedule, cosineSchedule]) expect(make(2, {floor: 0.5})(99, 10)).to.equal(1);
  });

  it('are defined where there are fewer steps than those of the warm-up, and for one step', () => {
    expect(rates(cosineSchedule(2, {warmUp: 4}), 2)).to.deep.equal([0.5, 1]);
    expect(rates(linearSchedule(2), 1)).to.deep.equal([2]);
    expect(rates(linearSchedule(2, {warmUp: 0.9}), 1)).to.deep.equal([2]);
    expect(linearSchedule(2, {warmUp: 3})(3, 3)).to.equal(2);
  });

  const REFUSED: [string, () => Schedule, RegExp][] = [
    ['a negative peak', () => cosineSchedule(-1), /^cosineSchedule: peak must be .* but is -1$/],
    ['an infinite peak', () => linearSchedule(Number.POSITIVE_INFINITY), /peak .* is Infinity$/],
    [
      'a negative warm-up',
      () => linearSchedule(1, {warmUp: -1}),
      /^linearSchedule: warmUp must be .* is -1$/,
    ],
    ['half a step of it', () => linearSchedule(1, {warmUp: 1.5}), /warmUp .* is 1\.5$/],
    ['a floor above the peak', () => linearSchedule(1, {floor: 1.1}), /floor .* is 1\.1$/],
    ['a floor that is no number', () => linearSchedule(1, {floor: Number.NaN}), /floor .* is NaN$/],
  ];
  for (const [what, make, message] of REFUSED) it(`refuse ${what}`, () => expect(make).to.throw(message));
});
