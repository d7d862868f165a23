import {expect} from 'chai';
import fc from 'fast-check';
import {FileError, parseJsonObject, quote, showJson} from '../../src/files/json.ts';

const parse = (text: string) => parseJsonObject(new TextEncoder().encode(text), 'it');

describe('parseJsonObject', () => {
  it('gives what JSON.parse does, of every object', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.integer({min: 0, max: 3}),
        (value, indent) => {
          const json = JSON.stringify(value, null, indent);
          expect(parse(json)).to.deep.equal(JSON.parse(json));
        },
      ),
    );
  });

  const refused: Record<string, string> = {
    '{': 'it is not valid JSON',
    '{"a": NaN}': 'it is not valid JSON',
    '[1]': 'it does not hold a JSON object',
    null: 'it does not hold a JSON object',
    '{"a": 1, "a" : 2}': "it has the key 'a' twice",
    '{"b": [{"a": 1}, {"a": 1, "\\u0061": 2}]}': "it has the key 'a' twice",
    '{"a\\n": 1, "a\\n": 1}': "it has the key 'a\\n' twice",
    '{"__proto__": 1, "__proto__": 1}': "it has the key '__proto__' twice",
  };
  for (const [json, message] of Object.entries(refused)) {
    it(`refuses ${json}`, () => {
      expect(() => parse(json))
        .to.throw(FileError)
        .with.property('message', message);
    });
  }

  it('refuses bytes that are no UTF-8', () => {
    expect(() => parseJsonObject(Uint8Array.of(0x7b, 0xff, 0x7d), 'it')).to.throw('it is not valid JSON');
  });

  it('takes the same key in different objects, and in strings', () => {
    const json = '{"a": {"a": ["a", "a"]}, "b": "\\"a\\": 1, \\"a\\":", "c": {"a": 1}}';
    expect(parse(json)).to.deep.equal(JSON.parse(json));
  });

  it('reads what is nested deeply', () => {
    const depth = 100_000;
    expect(parse(`{"a": ${'['.repeat(depth)}${']'.repeat(depth)}}`)).to.have.key('a');
  });
});

describe('what messages show of a file', () => {
  it('is one short line', () => {
    expect(quote('a\nb')).to.equal("'a\\nb'");
    expect(quote('x'.repeat(1e6))).to.have.length(203);
    const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`) as unknown;
    expect(showJson([1, 'a', null, deep])).to.equal('[1,"a",null,[…]]');
    expect(showJson(Array(1000).fill(1))).to.equal('[1,1,1,1,1,1,1,1,…]');
    expect(showJson({a: 1})).to.equal('{…}');
  });
});
