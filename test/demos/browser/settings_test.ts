import {expect} from 'chai';
import {DEFAULT_SETTINGS, problemsOf, type Settings} from '../../../demos/browser/settings.ts';

describe('settings of the browser demo', () => {
  const problems = (changes: Partial<Settings>) => problemsOf({...DEFAULT_SETTINGS, ...changes}, 256);

  it('are fine by default, up to the positions of the model', () => {
    expect(problems({})).to.deep.equal({});
    expect(
      problems({seq: 256, keep: 1, exactSteps: 0.3, frozenRank: 0, target: 'up_proj$', base: 'float16'}),
    ).to.deep.equal({});
  });

  const refused: [Partial<Settings>, string][] = [
    [{steps: 0}, 'must be a whole number from 1, not 0'],
    [{batch: 1.5}, 'must be a whole number from 1, not 1.5'],
    [{seq: Number.NaN}, 'must be a whole number from 1, not NaN'],
    [{seq: 257}, 'is 257, but the model has 256 positions'],
    [{learningRate: 0}, 'must be a number above 0, but is 0'],
    [{rank: 0}, 'must be at least 1, but is 0'],
    [{rank: 2.5}, 'must be an integer ≥ 0, but is 2.5'],
    [{keep: 1.5}, 'must be a number with 0 < keep ≤ 1, but is 1.5'],
    [{refreshEvery: 0}, 'must be an integer ≥ 1, but is 0'],
    [{exactSteps: -1}, 'must be an integer ≥ 0, or a fraction below 1, but is -1'],
    [{exactEvery: 1.5}, 'must be an integer ≥ 0, but is 1.5'],
    [{base: 'float8' as 'float16'}, "must be one of 'float32', 'float16', 'bfloat16', but is 'float8'"],
    [{seed: -1}, 'must be an integer ≥ 0, but is -1'],
  ];
  for (const [changes, problem] of refused) {
    const [[name, value]] = Object.entries(changes) as [[keyof Settings, unknown]];
    it(`are refused: ${name} ${value}`, () => {
      expect(problems(changes)).to.deep.equal({[name]: problem});
    });
  }

  it('are refused: a target that is no regular expression', () => {
    expect(problems({target: '('}))
      .to.have.property('target')
      .that.matches(/^Invalid regular expression/);
  });
});
