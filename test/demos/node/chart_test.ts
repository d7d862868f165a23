import {expect} from 'chai';
import {lossChart} from '../../../demos/node/chart.ts';
import type {MethodResult} from '../../../demos/node/compare.ts';
import {stderrOf} from './demo.ts';
import {curves, parseXml} from './drawing.ts';

const result = (losses: number[]): MethodResult => ({
  loss: 1,
  losses,
  evaluations: [],
  seconds: 1,
  secondsPerStep: 1,
  tokensPerSecond: 1,
  multiplyAdds: 1,
});
const textsOf = (svg: string) =>
  parseXml(svg)
    .filter(({name}) => name === 'text')
    .map(({text}) => text);

describe('lossChart', () => {
  it('draws both curves to one scale, and the loss before', () => {
    const [celora, exact] = [result([5, 4, 3]), result([5, 2, 1])];
    const svg = lossChart({baseLoss: 5, interrupted: false, celora, exact}, 'a model');
    const [first, smooth] = curves(svg, 'celora');
    const [other] = curves(svg, 'exact');
    expect(first!.map(([x]) => x - first![0]![0])).to.deep.equal([0, 370, 740]);
    const [top, ...below] = first!.map(([, y]) => y);
    const unit = below[0]! - top!; // of one, downwards
    expect(unit).to.be.above(10);
    expect(below[1]! - top!).to.be.closeTo(2 * unit, 1e-6);
    expect(other!.map(([, y]) => (y - top!) / unit)).to.deep.equal([0, 3, 4]);
    expect(smooth).to.deep.equal(first);
    expect(textsOf(svg)).to.include.members([
      'training loss, a model',
      'held-out loss before: 5.000',
      'CE-LoRA: 3.000 at the end',
      'exact LoRA: 1.000 at the end',
    ]);
  });

  it('smooths over a twentieth of the steps', () => {
    const losses = Array.from({length: 60}, (_, i) => (i % 3 === 0 ? 4 : 1));
    const [raw, smooth] = curves(
      lossChart({baseLoss: null, interrupted: false, celora: result(losses)}, ''),
      'celora',
    );
    expect(new Set(raw!.map(([, y]) => y)).size).to.equal(2);
    // a mean of three is the same everywhere but at the ends
    expect(new Set(smooth!.slice(1, -1).map(([, y]) => y.toFixed(3))).size).to.equal(1);
  });

  it('draws what an interrupted run has', () => {
    const one = lossChart({baseLoss: 2, interrupted: true, celora: result([3])}, '');
    expect(curves(one, 'celora')[0]).to.have.length(1);
    expect(curves(one, 'exact')).to.deep.equal([]);
    const none = lossChart({baseLoss: null, interrupted: true}, 'nothing yet');
    expect(curves(none, 'celora')).to.deep.equal([]);
    expect(textsOf(none)).to.include('training loss, nothing yet');
  });

  it('takes one step for enough', async () => {
    let svg = '';
    const warnings = await stderrOf(async () => {
      svg = lossChart({baseLoss: 2, interrupted: false, celora: result([3]), exact: result([3])}, '');
    });
    expect(warnings).to.equal('');
    expect(textsOf(svg).join()).to.not.include('⚠');
    expect(curves(svg, 'exact')[0]).to.have.length(1);
  });

  it('is XML whatever files are called', () => {
    const svg = lossChart({baseLoss: null, interrupted: true}, 'a & b <c> "d"\u00a0\'e\'');
    expect(textsOf(svg)).to.include('training loss, a &amp; b &lt;c&gt; "d"&#160;\'e\'');
  });
});

describe('the XML reader of these tests', () => {
  it('refuses what is not well-formed', () => {
    for (const source of [
      '<a>',
      '<a></b>',
      '<a>&nbsp;</a>',
      '<a b=c />',
      '<a b="1" b="2" />',
      '<a /><a />',
      '<a> & </a>',
      '',
    ]) {
      expect(() => parseXml(source), source).to.throw();
    }
    expect(parseXml('<a x="1"><b>t &lt;</b><c /></a>\n')).to.deep.equal([
      {name: 'a', attributes: {x: '1'}, text: ''},
      {name: 'b', attributes: {}, text: 't &lt;'},
      {name: 'c', attributes: {}, text: ''},
    ]);
  });
});
