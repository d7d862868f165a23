import {Tokenizer} from '@huggingface/tokenizers';
import {expect} from 'chai';
import fc from 'fast-check';
import {BYTE_CHARACTERS, learnMerges} from '../../../demos/pretrain/byte_pairs.ts';
import {tokenizerFiles, vocabSize} from '../../../demos/pretrain/tokenizer.ts';

const TEXTS = [
  'the whale, the whale! the white whale’s wake',
  'a whale is a whale — “the whale”, he said; there she blows',
];

function tokenizerOf(merges: number) {
  const files = tokenizerFiles(learnMerges(TEXTS, merges));
  const tokenizer = new Tokenizer(files['tokenizer.json']!, files['tokenizer_config.json']!);
  return {
    encode: (text: string) => tokenizer.encode(text, {add_special_tokens: false}).ids,
    decode: (ids: number[]) => tokenizer.decode(ids, {skip_special_tokens: true}),
    size: tokenizer.get_vocab(true).size,
  };
}

describe('byte pairs', () => {
  it('joins the most frequent pair of tokens first, of equals the first by its characters', () => {
    // words: "ab", " ab", " abc"; pairs: a b 3, space a 2, b c 1
    expect(learnMerges(['ab ab abc'], 10)).to.deep.equal([
      ['a', 'b'],
      ['Ġ', 'ab'],
    ]);
    expect(learnMerges(['ba ab ba ab'], 1)).to.deep.equal([['a', 'b']]);
  });

  it('joins pairs of equal tokens from the left', () => {
    expect(learnMerges(['aaaaa', 'aaaaa'], 3)).to.deep.equal([
      ['a', 'a'],
      ['aa', 'a'],
      ['aa', 'aaa'],
    ]);
  });

  it('writes every byte as a character of its own that is no space', () => {
    expect(new Set(BYTE_CHARACTERS).size).to.equal(256);
    expect(BYTE_CHARACTERS.filter((character) => /\s/u.test(character))).to.deep.equal([]);
  });
});

for (const merges of [0, 10]) {
  describe(`a byte-level tokenizer with ${merges} merges`, () => {
    const {encode, decode, size} = tokenizerOf(merges);

    it('has the two special tokens, the bytes and the merges', () => {
      expect(size).to.equal(vocabSize(merges));
      expect(encode('<s></s>')).to.deep.equal([0, 1]);
    });

    it('has a token for every byte that UTF-8 has', () => {
      const seen = new Set<number>();
      const texts = Array.from({length: 0x800}, (_, code) => String.fromCodePoint(code));
      for (const text of [...texts, '\ufeff ', '\u4e16\u754c', '\ud7ff', ...highPlanes()]) {
        const ids = encode(text);
        expect(decode(ids), JSON.stringify(text)).to.equal(text);
        for (const id of ids) seen.add(id);
      }
      if (merges > 0) return;
      // C0, C1 and F5 to FF do not occur
      const bytes = Array.from({length: 256}, (_, byte) => byte).filter(
        (byte) => byte !== 0xc0 && byte !== 0xc1 && byte < 0xf5,
      );
      expect([...seen].sort((a, b) => a - b)).to.deep.equal(bytes.map((byte) => byte + 2));
    });

    it('gives back any text', () => {
      fc.assert(
        fc.property(fc.string({unit: 'binary', minLength: 1}), (text) => {
          fc.pre(!/\p{Surrogate}|<\/?s>/u.test(text));
          expect(decode(encode(text))).to.equal(text);
        }),
        {numRuns: 300, seed: 1},
      );
      for (const text of [' ', '\n\n', '  two  spaces ', '\u0000\t\r\n', 'naïve — “whale’s” 🐋']) {
        expect(decode(encode(text))).to.equal(text);
      }
    });

    it('needs no more tokens than bytes', () => {
      const bytes = new TextEncoder().encode(TEXTS[0]).length;
      if (merges === 0) expect(encode(TEXTS[0]!)).to.have.lengthOf(bytes);
      else expect(encode(TEXTS[0]!).length).to.be.below(0.7 * bytes);
    });
  });
}

/** Characters of three and four bytes, from everywhere. */
function highPlanes(): string[] {
  const texts: string[] = [];
  for (let code = 0x800; code <= 0x10ffff; code += 0x5ff) {
    if (code < 0xd800 || code > 0xdfff) texts.push(String.fromCodePoint(code));
  }
  return texts;
}
