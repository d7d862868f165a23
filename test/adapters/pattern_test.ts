import {expect} from 'chai';
import fc from 'fast-check';
import {firstMatch} from '../../src/adapters/pattern.ts';
import {FileError} from '../../src/files/json.ts';

const PATH = 'model.layers.12.self_attn.q_proj';
const matches = (pattern: string, path = PATH) => firstMatch([pattern], 'it')(path) === pattern;

/** What PEFT asks of a module's path. */
const asPeft = (pattern: string, path: string) => new RegExp(`^(?:.*\\.)?(?:${pattern})$`).test(path);

describe('patterns of modules', () => {
  it('match a path or its end after a dot', () => {
    for (const pattern of [
      PATH,
      'q_proj',
      'self_attn.q_proj',
      '^model.layers.12.self_attn.q_proj',
      '^model\\.layers\\.12\\.self_attn\\.q_proj$',
      '.*',
      '(q|k)_proj',
      'layers\\.\\d+\\..*_proj',
      'layers\\.(?:[0-9]|1[0-5])\\.self_attn\\.[qkv]_proj',
      '[^.]+',
      'x*q_proj',
      '.*q_pro{1}j',
      '.{6}',
      '.{4,}j',
      '.{2,8}?',
      '((((model|x)+)*).*)*',
    ]) {
      expect(matches(pattern), pattern).to.equal(true);
    }
    for (const pattern of [
      '_proj',
      'proj',
      '^q_proj',
      'q_proj.',
      'k_proj',
      'layers',
      '.{33}',
      '[^q]_proj',
      '',
    ]) {
      expect(matches(pattern), pattern).to.equal(false);
    }
  });

  it('are taken in their order', () => {
    expect(firstMatch(['k_proj', 'self_attn.q_proj', '.*'], 'it')(PATH)).to.equal('self_attn.q_proj');
    expect(firstMatch([], 'it')(PATH)).to.equal(undefined);
  });

  it('match as a regular expression does', () => {
    const one = fc.constantFrom('a', 'b', '\\.', '.', '[ab]', '[^a.]', '\\w', '\\d', '1');
    const {pattern} = fc.letrec<{pattern: string; piece: string}>((tie) => ({
      piece: fc.oneof(
        {depthSize: 'small', withCrossShrink: true},
        one,
        fc
          .tuple(one, fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{2,}', '*?'))
          .map((all) => all.join('')),
        tie('pattern').map((inner) => `(${inner})`),
        fc
          .tuple(tie('pattern'), fc.constantFrom('?', '{2}', '{0,2}'))
          .map(([inner, n]) => `(?:${inner})${n}`),
      ),
      pattern: fc
        .array(fc.array(tie('piece'), {minLength: 0, maxLength: 3}), {minLength: 1, maxLength: 3})
        .map((alternatives) => alternatives.map((pieces) => pieces.join('')).join('|')),
    }));
    const path = fc.string({unit: fc.constantFrom('a', 'b', '.', '1'), maxLength: 8});
    let matched = 0;
    fc.assert(
      fc.property(pattern, path, (regex, text) => {
        const expected = asPeft(regex, text);
        if (expected) matched++;
        expect(matches(regex, text)).to.equal(expected);
      }),
      {numRuns: 2000},
    );
    expect(matched).to.be.above(100);
  });

  for (const pattern of [
    '(?=a)b',
    '(?P<name>a)',
    '(a',
    'a)',
    '[a',
    '[z-a]',
    'a**',
    '*a',
    'a{',
    'a\\Z',
    '(a)\\1',
    'a\\',
    'a++',
  ]) {
    it(`of another syntax are refused: ${pattern}`, () => {
      expect(() => firstMatch(['b', pattern], 'it')).to.throw(FileError, 'it: the pattern');
    });
  }

  it('that would take years are refused soon', () => {
    const path = `${'a'.repeat(60)}!`;
    for (const pattern of ['(a*)*', '(a|a)*', '(((a*)*)*)*', 'a?'.repeat(300), '(.*.*.*.*.*.*.*)+x']) {
      expect(matches(pattern, path), pattern).to.equal(false);
    }
    const endless = `${'('.repeat(8)}a?${'){99}'.repeat(8)}`;
    expect(() => matches(endless, path)).to.throw(FileError, 'takes too long to match');
    expect(() => matches('a'.repeat(1001))).to.throw(FileError, 'is too long');
  });

  it('find all modules of a large model, named one by one', () => {
    const modules = Array.from({length: 560}, (_, i) => `model.layers.${i}.self_attn.q_proj`);
    const names = new Map(modules.map((name) => [name, `^${name.replaceAll('.', '\\.')}`]));
    const find = firstMatch([...names.values()], 'it');
    for (const module of modules) expect(find(module)).to.equal(names.get(module));
  });
});
