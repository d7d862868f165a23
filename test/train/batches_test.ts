import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import fc from 'fast-check';
import {
  type BatchSource,
  exampleBatches,
  IGNORED_LABEL,
  type TokenBatch,
  type TokenizedText,
  textBatches,
} from '../../src/index.ts';
import {expectNoLeaks} from '../backends.ts';

type Rows = Record<'ids' | 'labels' | 'segments', number[][] | undefined> & {weight: number};

async function rowsOf(source: BatchSource<TokenBatch>, index: number): Promise<Rows> {
  const {ids, labels, segments, weight} = await source.batch(index);
  for (const tensor of [ids, labels, segments]) expect(tensor?.dtype ?? 'int32').to.equal('int32');
  const rows = {
    ids: await ids.array(),
    labels: await labels.array(),
    segments: await segments?.array(),
    weight,
  };
  tf.dispose([ids, labels, ...(segments ? [segments] : [])]);
  return rows;
}

const passOf = (source: BatchSource<TokenBatch>, pass = 0): Promise<Rows[]> =>
  Promise.all(Array.from({length: source.count}, (_, i) => rowsOf(source, pass * source.count + i)));

describe('textBatches', () => {
  before(() => tf.setBackend('cpu'));
  const ids = Array.from({length: 23}, (_, i) => 100 + i);

  it('goes through the text in order, and begins again', async () => {
    const source = textBatches(ids, {length: 4, batchSize: 2});
    expect(source.count).to.equal(3);
    const batches = await passOf(source);
    const windows = batches.flatMap((batch) => batch.ids!);
    expect(windows).to.deep.equal([0, 1, 2, 3, 4].map((i) => ids.slice(4 * i, 4 * i + 4)));
    const labels = batches.flatMap((batch) => batch.labels!);
    expect(labels).to.deep.equal([0, 1, 2, 3, 4].map((i) => ids.slice(4 * i + 1, 4 * i + 5)));
    expect(batches.map(({weight, segments}) => [weight, segments])).to.deep.equal([
      [8, undefined],
      [8, undefined],
      [4, undefined],
    ]);
    expect(await passOf(source, 1)).to.deep.equal(batches);
  });

  it('draws windows anywhere with a seed, the same ones for the same number', async () => {
    const source = textBatches(ids, {length: 4, batchSize: 3, seed: 5});
    const starts = new Set<number>();
    for (let index = 0; index < 40; index++) {
      const batch = await rowsOf(source, index);
      expect(await rowsOf(source, index)).to.deep.equal(batch);
      for (const [i, row] of batch.ids!.entries()) {
        expect(row).to.deep.equal(ids.slice(row[0]! - 100, row[0]! - 96));
        expect(batch.labels![i]).to.deep.equal(row.map((id) => id + 1));
        starts.add(row[0]! - 100);
      }
    }
    expect([...starts].sort((a, b) => a - b)).to.deep.equal(Array.from({length: 19}, (_, i) => i));
    const other = textBatches(ids, {length: 4, batchSize: 3, seed: 6});
    expect(await rowsOf(other, 0)).to.not.deep.equal(await rowsOf(source, 0));
  });

  it('takes a text of one window', async () => {
    for (const seed of [undefined, 1]) {
      const source = textBatches([7, 8], {length: 1, batchSize: 2, seed});
      expect((await rowsOf(source, 3)).ids![0]).to.deep.equal([7]);
    }
  });

  it('owns none of the tensors it makes', async () => {
    const source = textBatches(ids, {length: 4, batchSize: 2});
    await expectNoLeaks(() => rowsOf(source, 0));
  });

  it('refuses bad options and short texts by name', () => {
    const make = (options: object) => () => textBatches(ids, {length: 4, batchSize: 2, ...options});
    expect(make({length: 0})).to.throw('textBatches: length must be an integer ≥ 1, but is 0');
    expect(make({batchSize: 1.5})).to.throw('textBatches: batchSize must be an integer ≥ 1, but is 1.5');
    expect(make({seed: -1})).to.throw('textBatches: seed must be an integer ≥ 0, but is -1');
    expect(make({length: 23})).to.throw('textBatches: ids must be more than length 23, but are 23');
  });
});

/** A text of tokens start, start + 1, …, of which the last `learned` are learned. */
const text = (start: number, length: number, learned = length): TokenizedText => ({
  ids: Array.from({length}, (_, i) => start + i),
  learn: Array.from({length}, (_, i) => i >= length - learned),
});

describe('exampleBatches', () => {
  before(() => tf.setBackend('cpu'));
  const _ = IGNORED_LABEL;

  it('packs texts into rows, numbers them, and labels what is learned', async () => {
    const texts = [text(10, 4, 2), text(20, 6, 6), text(30, 3, 1), text(40, 2)];
    const source = exampleBatches(texts, {length: 6, batchSize: 2});
    expect(source).to.include({count: 1, rows: 2, truncated: 0, dropped: 0, filled: 11 / 12});
    expect(await rowsOf(source, 0)).to.deep.equal({
      ids: [
        [20, 21, 22, 23, 24, 0],
        [10, 11, 12, 30, 31, 40],
      ],
      labels: [
        [21, 22, 23, 24, 25, _],
        [_, 12, 13, _, 32, 41],
      ],
      segments: [
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 2, 2, 3],
      ],
      weight: 9,
    });
  });

  it('gives each text a row of its own where they are not to be packed', async () => {
    const source = exampleBatches([text(10, 3, 1), text(20, 2)], {length: 3, batchSize: 4, pack: false});
    expect(source).to.include({rows: 2, filled: 0.5});
    expect(await rowsOf(source, 0)).to.deep.equal({
      ids: [
        [10, 11, 0],
        [20, 0, 0],
      ],
      labels: [
        [_, 12, _],
        [21, _, _],
      ],
      segments: undefined,
      weight: 2,
    });
  });

  it('cuts long texts, and leaves out those with nothing to learn', async () => {
    const texts = [text(10, 9), text(20, 9, 3), text(30, 1), text(40, 0), text(50, 4, 0)];
    const source = exampleBatches(texts, {length: 4, batchSize: 1});
    expect(source).to.include({rows: 1, truncated: 1, dropped: 4, filled: 1});
    const {ids, labels} = await rowsOf(source, 0);
    expect([ids, labels]).to.deep.equal([[[10, 11, 12, 13]], [[11, 12, 13, 14]]]);
    expect(() => exampleBatches(texts.slice(2), {length: 4, batchSize: 1})).to.throw(
      'exampleBatches: none of 3 texts has a token to learn',
    );
  });

  it('has every row once in each pass with a seed, in another order', async () => {
    const source = exampleBatches(
      Array.from({length: 10}, (_, i) => text(100 * i, 5)),
      {length: 4, batchSize: 5, seed: 3},
    );
    const first = (await passOf(source)).flatMap(({ids}) => ids!.map(([id]) => id!));
    const second = (await passOf(source, 1)).flatMap(({ids}) => ids!.map(([id]) => id!));
    for (const pass of [first, second]) {
      expect(pass.toSorted((a, b) => a - b)).to.deep.equal(Array.from({length: 10}, (_, i) => 100 * i));
    }
    expect(second).to.not.deep.equal(first);
    expect((await passOf(source)).flatMap(({ids}) => ids!.map(([id]) => id!))).to.deep.equal(first);
  });

  it('has batches across the end of a pass with a seed, and a smaller last one in order', async () => {
    const texts = Array.from({length: 5}, (_, i) => text(100 * i, 5));
    const starts = async (seed?: number) => {
      const source = exampleBatches(texts, {length: 4, batchSize: 2, seed});
      const batches = await Promise.all(Array.from({length: 5}, (_, i) => rowsOf(source, i)));
      return batches.map(({ids}) => ids!.map(([id]) => id!));
    };
    expect(await starts()).to.deep.equal([[0, 100], [200, 300], [400], [0, 100], [200, 300]]);
    const mixed = await starts(1);
    expect(mixed.every((batch) => batch.length === 2)).to.equal(true);
    for (const pass of [mixed.flat().slice(0, 5), mixed.flat().slice(5)]) {
      expect(new Set(pass).size).to.equal(5);
    }
  });

  it('loses nothing, mixes nothing up and fills rows well, whatever the lengths', () => {
    const lengths = fc.array(fc.integer({min: 2, max: 17}), {minLength: 1, maxLength: 60});
    return fc.assert(
      fc.asyncProperty(lengths, async (sizes) => {
        const texts = sizes.map((size, i) => text(1000 * (i + 1), size));
        const source = exampleBatches(texts, {length: 16, batchSize: 7});
        const found = new Map<number, number>();
        for (const {ids, labels, segments} of await passOf(source)) {
          for (const [row, tokens] of ids!.entries()) {
            const owners = new Map<number, number>();
            for (const [at, id] of tokens.entries()) {
              const segment = segments![row]![at]!;
              if (segment === 0) expect([id, labels![row]![at]]).to.deep.equal([0, IGNORED_LABEL]);
              else {
                const owner = Math.floor(id / 1000);
                expect(owners.get(segment) ?? owner).to.equal(owner);
                owners.set(segment, owner);
                expect(labels![row]![at]).to.equal(id + 1);
                found.set(owner, (found.get(owner) ?? 0) + 1);
              }
            }
            expect(new Set(owners.values()).size).to.equal(owners.size);
          }
        }
        expect([...found].sort(([a], [b]) => a - b)).to.deep.equal(sizes.map((size, i) => [i + 1, size - 1]));
        // first fit decreasing, which best fit is no worse than: 11/9 of the least there can be, and 6/9 of a row
        const least = sizes.reduce((sum, size) => sum + size - 1, 0) / 16;
        expect(source.rows).to.be.at.most(Math.ceil((11 / 9) * Math.max(least, longHalf(sizes)) + 1));
      }),
      {numRuns: 40},
    );
  });
});

/** Texts of more than half a row: no two of them share one. */
const longHalf = (sizes: number[]): number => sizes.filter((size) => size - 1 > 8).length;
