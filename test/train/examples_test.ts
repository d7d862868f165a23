import {expect} from 'chai';
import {
  type ChatMessage,
  chatTemplate,
  type Example,
  FileError,
  type RenderChat,
  readJsonLines,
  type TextTokenizer,
  textTemplate,
  tokenize,
} from '../../src/index.ts';

const read = (text: string) => ({text, learn: false});
const learn = (text: string) => ({text, learn: true});

describe('textTemplate', () => {
  it('learns from the last placeholder on', () => {
    const row = textTemplate('Question: {question}\nAnswer: {answer}\n\n');
    expect(row({question: '1 + 1?', answer: '2', other: 3})).to.deep.equal([
      read('Question: 1 + 1?\nAnswer: '),
      learn('2\n\n'),
    ]);
  });

  it('learns all where there is no prompt, or an empty one', () => {
    expect(textTemplate('{text}.')({text: 'all'})).to.deep.equal([learn('all.')]);
    expect(textTemplate('{prompt}{completion}')({prompt: '', completion: 'b'})).to.deep.equal([learn('b')]);
  });

  it('leaves braces that name no field, and those in the values', () => {
    const row = textTemplate('f() { } {}: {code}');
    expect(row({code: '{code} {x}'})).to.deep.equal([read('f() { } {}: '), learn('{code} {x}')]);
  });

  it('writes numbers, and refuses what is no text', () => {
    const row = textTemplate('{n}');
    expect(row({n: 1.5})).to.deep.equal([learn('1.5')]);
    for (const value of [undefined, null, true, ['a'], {}]) {
      expect(() => row({n: value})).to.throw("has no text under 'n'");
    }
    expect(() => textTemplate('{toString}')({})).to.throw("has no text under 'toString'");
  });

  it('refuses a template without placeholder', () => {
    expect(() => textTemplate('{ question }')).to.throw(
      "textTemplate: template must have a placeholder such as {answer}, but is '{ question }'",
    );
  });
});

/** As ChatML. */
const render: RenderChat = (messages, {addGenerationPrompt}) =>
  `<s>${messages.map(({role, content}) => `[${role}]${content}[/]\n`).join('')}${addGenerationPrompt ? '[assistant]' : ''}`;

const turn = (role: string, content: string): ChatMessage => ({role, content});

describe('chatTemplate', () => {
  it("learns the assistant's turns with what ends them", () => {
    const messages = [
      turn('system', 'be brief'),
      turn('user', 'hi'),
      turn('assistant', 'hello'),
      turn('user', '1 + 1?'),
      turn('assistant', '2'),
    ];
    const expected: Example = [
      read('<s>[system]be brief[/]\n[user]hi[/]\n[assistant]'),
      learn('hello[/]\n'),
      read('[user]1 + 1?[/]\n[assistant]'),
      learn('2[/]\n'),
    ];
    expect(chatTemplate(render)({messages})).to.deep.equal(expected);
    expect(chatTemplate(render, 'turns')({turns: messages})).to.deep.equal(expected);
  });

  it('only reads what follows, and conversations without an assistant', () => {
    const messages = [turn('user', 'a'), turn('assistant', 'b'), turn('user', 'c')];
    expect(chatTemplate(render)({messages})).to.deep.equal([
      read('<s>[user]a[/]\n[assistant]'),
      learn('b[/]\n'),
      read('[user]c[/]\n'),
    ]);
    expect(chatTemplate(render)({messages: messages.slice(0, 1)})).to.deep.equal([read('<s>[user]a[/]\n')]);
  });

  it('refuses templates that change what was said before, and rows that are no conversation', () => {
    const forgetful: RenderChat = (messages, options) => render(messages.slice(-1), options);
    const messages = [turn('user', 'a'), turn('assistant', 'b')];
    expect(() => chatTemplate(forgetful)({messages})).to.throw(
      'cannot be learned from: the chat template changes what came before its turn 2',
    );
    for (const bad of [undefined, 'a', [{role: 'user'}], [['user', 'a']], {role: 'user', content: 'a'}]) {
      expect(() => chatTemplate(render)({messages: bad})).to.throw(
        "has no list of messages, each with role and content, under 'messages'",
      );
    }
  });
});

describe('readJsonLines', () => {
  it('reads a row a line, and passes over empty ones', () => {
    const content = '{"a": "1"}\r\n\n  \n{"a": "2"}';
    expect(readJsonLines(content, textTemplate('{a}'))).to.deep.equal([[learn('1')], [learn('2')]]);
    expect(readJsonLines('', textTemplate('{a}'))).to.deep.equal([]);
  });

  const REFUSED: [string, string, string][] = [
    ['what is not JSON', '{"a": "1"}\n\n{"a": b}', "line 3 of 'x.jsonl' is not JSON"],
    ['what is no object', '["a"]', "line 1 of 'x.jsonl' is not a JSON object"],
    ['what the template lacks', '{"b": "1"}', "line 1 of 'x.jsonl' has no text under 'a'"],
  ];
  for (const [what, content, message] of REFUSED) {
    it(`refuses ${what}`, () => {
      expect(() => readJsonLines(content, textTemplate('{a}'), 'x.jsonl')).to.throw(FileError, message);
    });
  }
});

describe('tokenize', () => {
  const MERGES = ['ab', ' 4', ' '];
  /** A token for each letter, but for some pairs, which are one: ids from 100 on. */
  const tokenizer: TextTokenizer = {
    encode(text) {
      const ids: number[] = [];
      for (let at = 0; at < text.length; ) {
        const merge = MERGES.findIndex((pair) => text.startsWith(pair, at));
        ids.push(merge >= 0 ? 100 + merge : text.charCodeAt(at));
        at += merge >= 0 ? MERGES[merge]!.length : 1;
      }
      return ids;
    },
  };
  const [x, y, z] = [...'xyz'].map((letter) => letter.charCodeAt(0)) as [number, number, number];

  it('learns the tokens of the parts that are to be learned', () => {
    expect(tokenize([read('xy'), learn('z'), read('x'), learn('yz')], tokenizer)).to.deep.equal({
      ids: [x, y, z, x, y, z],
      learn: [false, false, true, false, true, true],
    });
  });

  it('tokenizes the text as a whole: a token across the boundary is one of the completion', () => {
    expect(tokenize([read('xa'), learn('bz')], tokenizer)).to.deep.equal({
      ids: [x, 100, z],
      learn: [false, true, true],
    });
    expect(tokenize([read('x: '), learn('4')], tokenizer)).to.deep.equal({
      ids: [x, ':'.charCodeAt(0), 101],
      learn: [false, false, true],
    });
    // the merged token begins in what is learned
    expect(tokenize([learn('xa'), read('bz')], tokenizer).learn).to.deep.equal([true, false, false]);
  });

  it('adds the beginning, never learned, and the end, learned as the last part is', () => {
    const ends = {...tokenizer, bosId: 1, eosId: 2};
    expect(tokenize([read('x'), learn('y')], ends)).to.deep.equal({
      ids: [1, x, y, 2],
      learn: [false, false, true, true],
    });
    expect(tokenize([learn('x'), read('y')], ends).learn).to.deep.equal([false, true, false, false]);
    expect(tokenize([], ends)).to.deep.equal({ids: [1, 2], learn: [false, true]});
  });

  it('does not mind empty parts', () => {
    expect(tokenize([read(''), learn('x'), read(''), learn('')], tokenizer)).to.deep.equal({
      ids: [x],
      learn: [true],
    });
    expect(tokenize([learn('')], tokenizer)).to.deep.equal({ids: [], learn: []});
  });
});
