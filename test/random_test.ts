import {expect} from 'chai';
import {randomStream, recordSeeds, replaySeeds, seedStream} from '../src/random.ts';

const draw = (stream: () => number, count: number): number[] => Array.from({length: count}, stream);

describe('random streams', () => {
  it('repeat from their seed, and differ between seeds', () => {
    expect(draw(randomStream(3), 5)).to.deep.equal(draw(randomStream(3), 5));
    expect(draw(randomStream(3), 5)).not.to.deep.equal(draw(randomStream(4), 5));
    for (const value of draw(randomStream(5), 1000)) expect(value).to.be.within(0, 1 - 2 ** -32);
  });

  it('give seeds that are integers of 32 bits', () => {
    const seeds = draw(seedStream(3), 1000);
    for (const seed of seeds) expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).to.equal(true);
    expect(Math.max(...seeds)).to.be.above(2 ** 31);
    expect(seeds.slice(0, 5)).to.deep.equal(draw(randomStream(3), 5).map((value) => value * 2 ** 32));
  });
});

describe('the state of a stream', () => {
  it('lets another one go on from there', () => {
    for (const make of [randomStream, seedStream]) {
      const stream = make(3);
      draw(stream, 4);
      const {state} = stream;
      const rest = draw(stream, 3);
      const other = make(8);
      draw(other, 1);
      other.state = state;
      expect(draw(other, 3)).to.deep.equal(rest);
      expect(other.state)
        .to.equal(stream.state)
        .and.to.be.within(0, 2 ** 32 - 1);
    }
  });
});

describe('recordSeeds and replaySeeds', () => {
  it('give a run the seeds of another, and leave the streams where they are', () => {
    const [a, b] = [seedStream(1), seedStream(2)];
    const [first, second] = [draw(seedStream(1), 3), draw(seedStream(2), 3)];
    const run = () => [a(), b(), a()];
    const {result, seeds} = recordSeeds(run);
    expect(result).to.deep.equal([first[0], second[0], first[1]]);
    expect(seeds).to.deep.equal(result);
    expect(replaySeeds(seeds, run)).to.deep.equal(result);
    expect([a(), b()]).to.deep.equal([first[2], second[1]]);
  });

  it('work within one another', () => {
    const stream = seedStream(1);
    const inner = () => recordSeeds(() => draw(stream, 2));
    const outer = recordSeeds(() => [stream(), ...inner().result, stream()]);
    expect(outer.seeds).to.deep.equal(draw(seedStream(1), 4));
    const again = replaySeeds(outer.seeds, () => {
      const before = stream();
      const {seeds} = inner();
      expect(replaySeeds(seeds, () => draw(stream, 2))).to.deep.equal(seeds);
      return [before, ...seeds, stream()];
    });
    expect(again).to.deep.equal(outer.seeds);
  });

  it('refuse a run that draws more than was recorded', () => {
    const stream = seedStream(1);
    const {seeds} = recordSeeds(() => draw(stream, 2));
    expect(() => replaySeeds(seeds, () => draw(stream, 3))).to.throw(
      'draws more random numbers than at first',
    );
    expect(stream()).to.equal(draw(seedStream(1), 3)[2]);
  });

  it('forget everything when the run fails', () => {
    const stream = seedStream(1);
    const fail = (): never => {
      throw new Error('no');
    };
    expect(() => recordSeeds(fail)).to.throw('no');
    expect(() => replaySeeds([5], fail)).to.throw('no');
    expect(draw(stream, 2)).to.deep.equal(draw(seedStream(1), 2));
  });
});
