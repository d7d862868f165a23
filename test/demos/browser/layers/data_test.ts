import {expect} from 'chai';
import {readCsv} from '../../../../demos/browser/layers/csv.ts';
import {imageShapeOf, labelledImages, readImages} from '../../../../demos/browser/layers/images.ts';
import {labelledData, targetsFor} from '../../../../demos/browser/layers/labelled_data.ts';
import {FileError} from '../../../../src/index.ts';
import {onBackend} from '../../llama/fixtures.ts';

describe('readCsv', () => {
  it('reads features and labels, with or without names of columns', () => {
    for (const header of ['', 'height,weight,kind\n']) {
      const rows = readCsv('a.csv', `\ufeff${header}1,-2.5e-1,cat\r\n3, 4,"a ""big"", dog"\r\n\r\n`, 2);
      expect([...rows.features]).to.deep.equal([1, -0.25, 3, 4]);
      expect(rows.labels).to.deep.equal(['cat', 'a "big", dog']);
    }
  });

  const WRONG: [text: string, message: string][] = [
    [
      '1,2,cat\n1,cat',
      'a.csv, row 2 has 2 columns; the model takes 2 features, and the last column is the label',
    ],
    ['1,2,cat\n1,two,cat', "a.csv, row 2, column 2: 'two' is no number"],
    ['1,2,cat\n1,,cat', "a.csv, row 2, column 2: '' is no number"],
    ['', 'a.csv has no rows'],
    ['height,weight,kind\n', 'a.csv has no rows'],
  ];
  for (const [text, message] of WRONG) {
    it(`says: ${message}`, () => expect(() => readCsv('a.csv', text, 2)).to.throw(FileError, message));
  }
});

describe('images as rows', () => {
  it('are of the shape that the model takes', () => {
    expect(imageShapeOf([28, 30, 1])).to.deep.equal({height: 28, width: 30, channels: 1});
    expect(imageShapeOf([8, 8, 3])).to.deep.equal({height: 8, width: 8, channels: 3});
    expect(imageShapeOf([784])).to.deep.equal({height: 28, width: 28, channels: 1});
    expect(imageShapeOf([3 * 25])).to.deep.equal({height: 5, width: 5, channels: 3});
    for (const input of [[10], [28, 28], [4, 4, 2]]) {
      expect(() => imageShapeOf(input)).to.throw(FileError, `the model takes [${input}], which is no image`);
    }
  });

  const pixels = async () =>
    Uint8ClampedArray.from([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 51, 51, 51, 0]);
  const images = [{label: 'x', file: new File([], 'x.png')}];

  it('have grey or three colours from 0 to 1', async () => {
    const grey = await readImages(images, {height: 2, width: 2, channels: 1}, pixels);
    expect([...grey.features].map((number) => Math.round(1000 * number))).to.deep.equal([299, 587, 114, 200]);
    const colour = await readImages(images, {height: 2, width: 2, channels: 3}, pixels);
    expect([...colour.features].map((number) => Math.round(10 * number))).to.deep.equal([
      10, 0, 0, 0, 10, 0, 0, 0, 10, 2, 2, 2,
    ]);
    expect(colour).to.include({width: 12});
    expect(colour.labels).to.deep.equal(['x']);
  });

  it('say what is wrong', async () => {
    const shape = {height: 2, width: 2, channels: 1} as const;
    const failing = () => Promise.reject(new Error('decoding failed'));
    const messages = await Promise.all(
      [readImages(images, shape, failing), readImages([], shape, pixels)].map((reading) =>
        reading.then(
          () => '',
          (error: Error) => error.message,
        ),
      ),
    );
    expect(messages).to.deep.equal([
      'x.png is no image that this browser reads (decoding failed)',
      'there are no images in folders: the name of a folder is the label',
    ]);
  });

  it('take the name of their folder as label', () => {
    const file = (path: string) =>
      Object.defineProperty(new File([], path.split('/').at(-1)!), 'webkitRelativePath', {value: path});
    const found = labelledImages(['all/cats/1.png', 'all/dogs/2.JPG', 'all/dogs/notes.txt'].map(file));
    expect(found.map(({label, file}) => [label, file.name])).to.deep.equal([
      ['cats', '1.png'],
      ['dogs', '2.JPG'],
    ]);
  });
});

describe('targetsFor', () => {
  it('takes numbers of outputs, names of as many, two labels or numbers for one output', () => {
    expect([...targetsFor(['3', '0', '3'], 4).values]).to.deep.equal([3, 0, 3]);
    const named = targetsFor(['dog', 'cat', 'dog'], 2);
    expect(named.classes).to.deep.equal(['cat', 'dog']);
    expect([...named.values]).to.deep.equal([1, 0, 1]);
    expect([...targetsFor(['no', 'yes'], 1).values]).to.deep.equal([0, 1]);
    expect(targetsFor(['1.5', '-2'], 1)).to.deep.equal({
      classes: undefined,
      values: Float32Array.of(1.5, -2),
    });
  });

  it('refuses labels that are not for the outputs', () => {
    expect(() => targetsFor(['a', 'b', 'c'], 2)).to.throw(
      FileError,
      'the model has 2 outputs, but the data has 3 labels (a, b, c)',
    );
    expect(() => targetsFor(['0', '7'], 4)).to.throw(
      FileError,
      'the model has 4 outputs, but the data has 2 labels (0, 7)',
    );
  });
});

describe('labelledData', () => {
  onBackend('cpu');
  const count = 25;
  const rows = {features: Float32Array.from({length: 2 * count}, (_, i) => i), width: 2, labels: []};
  const values = Float32Array.from({length: count}, (_, i) => i % 3);
  const shapes = {input: [1, 2], outputs: 3, batch: 4, seed: 1};

  it('holds a tenth out, has every other row once a pass, and the same batch for a number', async () => {
    const data = labelledData(rows, {classes: ['a', 'b', 'c'], values}, shapes);
    expect([data.trainRows, data.heldOutRows, data.train.count, data.heldOut.count]).to.deep.equal([
      22, 3, 5, 1,
    ]);
    const rowsOf = async (source: typeof data.train, index: number) => {
      const {x, y, weight} = await source.batch(index);
      expect(x.shape).to.deep.equal([weight, 1, 2]);
      expect(y.shape).to.deep.equal([weight, 3]);
      const [features, targets] = [await x.data(), await y.data()];
      x.dispose();
      y.dispose();
      return Array.from({length: weight}, (_, i) => {
        const row = features[2 * i]! / 2;
        expect(features[2 * i + 1]).to.equal(2 * row + 1);
        expect(targets[3 * i + (row % 3)]).to.equal(1);
        return row;
      });
    };
    const pass: number[] = [];
    for (let i = 0; i < 5; i++) pass.push(...(await rowsOf(data.train, i)));
    const heldOut = await rowsOf(data.heldOut, 0);
    expect(new Set([...pass, ...heldOut]).size).to.equal(23);
    expect(await rowsOf(data.train, 0)).to.deep.equal(pass.slice(0, 4));
    expect(await rowsOf(data.train, 5)).to.not.deep.equal(pass.slice(0, 4));
  });

  it('refuses too few rows', () => {
    expect(() => labelledData(rows, {classes: [], values}, {...shapes, batch: 23})).to.throw(
      FileError,
      'there are 25 rows, too few for a batch of 23 beside those held out',
    );
  });
});
