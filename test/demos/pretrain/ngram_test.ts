import {expect} from 'chai';
import {ByteNgram} from '../../../demos/pretrain/ngram.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const gram = (text: string) => bytes(text).reduce((number, byte) => number * 256 + byte, 0);

describe('ByteNgram', () => {
  // 2-grams of abaab: ab 2, ba 1, aa 1. Of them a is preceded by two bytes (b, a), b by one (a).
  // Discounts n₁/(n₁ + 2n₂): of 2-grams 2/(2 + 2·1) = 1/2, of single bytes 1/(1 + 2·1) = 1/3.
  const model = new ByteNgram(bytes('abaab'), 2);
  const a = (2 - 1 / 3) / 3 + ((1 / 3) * 2) / 3 / 256;
  const b = (1 - 1 / 3) / 3 + ((1 / 3) * 2) / 3 / 256;
  const unseen = ((1 / 3) * 2) / 3 / 256;

  it('gives the probabilities that were computed by hand', () => {
    const cases: [text: string, probability: number][] = [
      ['a', a],
      ['b', b],
      ['c', unseen],
      ['ab', (2 - 1 / 2) / 3 + ((1 / 2) * 2 * b) / 3],
      ['aa', (1 - 1 / 2) / 3 + ((1 / 2) * 2 * a) / 3],
      ['ac', ((1 / 2) * 2 * unseen) / 3],
      ['ba', (1 - 1 / 2) / 1 + ((1 / 2) * 1 * a) / 1],
      ['ca', a],
    ];
    for (const [text, probability] of cases) {
      expect(model.probability(gram(text), text.length), text).to.be.closeTo(probability, 1e-15);
    }
  });

  it('gives the bits per byte of a text', () => {
    const ba = 1 / 2 + a / 2;
    expect(model.bitsPerByte(bytes('bac'))).to.be.closeTo(
      -(Math.log2(b) + Math.log2(ba) + Math.log2(unseen / 3)) / 3,
      1e-12,
    );
  });

  it('has probabilities that sum to one after every context, at the highest order too', () => {
    const text = bytes(
      'she sells sea shells by the sea shore; the shells she sells are sea shells, she said',
    );
    for (const order of [1, 3, 5, 6]) {
      const model = new ByteNgram(text, order);
      for (const context of ['', 's', 'sh', 'shel', 'ells ', 'xyz', '\xff\xff']) {
        const before = context.slice(Math.max(0, context.length - order + 1));
        const start = gram(before) * 256;
        const length = bytes(before).length + 1;
        if (length > order) continue;
        let sum = 0;
        for (let byte = 0; byte < 256; byte++) sum += model.probability(start + byte, length);
        expect(sum, `order ${order} after '${context}'`).to.be.closeTo(1, 1e-12);
      }
    }
  });

  it('knows a text that it has seen better with more bytes before', () => {
    const text = bytes(
      'the whale, the whale! up helm, up helm! oh, all ye sweet powers of air, now hug me close! '.repeat(3),
    );
    const bits = [1, 2, 3, 5].map((order) => new ByteNgram(text, order).bitsPerByte(text));
    expect(bits).to.deep.equal(bits.toSorted((a, b) => b - a));
    expect(bits.at(-1)).to.be.below(0.7);
  });

  it('refuses an order that numbers cannot hold', () => {
    expect(() => new ByteNgram(bytes('abc'), 7)).to.throw('order must be an integer from 1 to 6, but is 7');
  });
});
