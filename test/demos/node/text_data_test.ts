import {mkdir, writeFile} from 'node:fs/promises';
import {expect} from 'chai';
import type {LlamaTokenizer} from '../../../demos/llama/tokenizer.ts';
import {readTextData, type TextData} from '../../../demos/node/text_data.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {temporaryFolder} from './demo.ts';

/** A token for each character; 0 begins a text. */
const tokenizer: LlamaTokenizer = {
  bosId: 0,
  eosIds: [],
  encode: (text, {bos = false} = {}) => [
    ...(bos ? [0] : []),
    ...[...text].map((letter) => letter.codePointAt(0)!),
  ],
  decode: (ids) => String.fromCodePoint(...ids),
};
const tokens = (...texts: string[]) =>
  Int32Array.from(texts.flatMap((text) => tokenizer.encode(text, {bos: true})));

describe('readTextData', () => {
  const path = temporaryFolder();

  async function read(name: string, content: string | Uint8Array): Promise<TextData> {
    await writeFile(path(name), content);
    return (await readTextData(path(name)))(tokenizer);
  }

  it('holds out the last tenth of a text', async () => {
    const text = Array.from({length: 100}, (_, i) => `line ${String(i).padStart(3, '0')}\n`).join('');
    const {train, heldOut, prompt} = await read('a.txt', text);
    expect(train).to.deep.equal(Int32Array.from(tokenizer.encode(text.slice(0, 810))));
    expect(heldOut).to.deep.equal(Int32Array.from(tokenizer.encode(text.slice(810))));
    expect(prompt).to.equal(text.slice(810, 870));
  });

  it('passes over the mark that begins a file of UTF-8, and minds no capitals', async () => {
    const {train} = await read('b.TXT', '\ufeffzebra and ün');
    expect(tokenizer.decode([...train])).to.equal('zebra and ');
  });

  const FORMS: [string, object[], string[], string][] = [
    ['text', [{text: 'one'}, {text: 'two', id: 7}, {text: 'three'}], ['one', 'two', 'three'], 'three'],
    [
      'question and answer',
      [
        {question: '1 + 1?', answer: '2'},
        {question: '2 + 2?', answer: '4'},
      ],
      ['Question: 1 + 1?\nAnswer: 2\n\n', 'Question: 2 + 2?\nAnswer: 4\n\n'],
      'Question: 2 + 2?\nAnswer:',
    ],
    [
      'prompt and completion',
      [
        {prompt: 'a', completion: 'b'},
        {prompt: 'c', completion: 'd'},
      ],
      ['ab', 'cd'],
      'c',
    ],
    [
      'an empty prompt',
      [
        {prompt: 'a', completion: 'b'},
        {prompt: '', completion: 'd'},
      ],
      ['ab', 'd'],
      'd',
    ],
  ];
  for (const [form, rows, texts, start] of FORMS) {
    it(`reads .jsonl with ${form}, each example from its own beginning`, async () => {
      const {train, heldOut, prompt} = await read(
        'a.jsonl',
        rows.map((row) => JSON.stringify(row)).join('\r\n\n'),
      );
      expect(train).to.deep.equal(tokens(...texts.slice(0, -1)));
      expect(heldOut).to.deep.equal(tokens(texts.at(-1)!));
      expect(prompt).to.equal(start);
    });
  }

  it('holds out the last tenth of the examples, and leaves out those without text', async () => {
    const rows = Array.from({length: 20}, (_, i) => `{"text": "${i}"}`);
    const {train, heldOut} = await read(
      'c.jsonl',
      [...rows.slice(0, 19), '{"text": ""}', rows[19]].join('\n'),
    );
    expect(train).to.deep.equal(tokens(...Array.from({length: 18}, (_, i) => String(i))));
    expect(heldOut).to.deep.equal(tokens('18', '19'));
  });

  const refused: [string, string, string | Uint8Array, RegExp][] = [
    ['an empty text', 'e.txt', '', /e\.txt' is empty$/],
    ['one of blanks', 'e.txt', ' \n\t\n', /e\.txt' is empty$/],
    ['an empty .jsonl', 'e.jsonl', '\n', /e\.jsonl' is empty$/],
    ['one example', 'e.jsonl', '{"text": "a"}\n', /e\.jsonl' has 1 examples; two are the least$/],
    ['what is not UTF-8', 'e.txt', new Uint8Array([0x61, 0xff, 0x61]), /e\.txt' is not UTF-8 text$/],
    ['another kind of file', 'e.csv', 'a,b', /e\.csv' is neither \.txt nor \.jsonl$/],
    [
      'a line that is not JSON',
      'e.jsonl',
      '{"text": "a"}\n\n{"text": b}\n',
      /line 3 of '.*e\.jsonl' is not JSON$/,
    ],
    ...[
      '{"txt": "a"}',
      '{"text": 1}',
      '{"question": "a"}',
      '{"completion": "a"}',
      '["a"]',
      'null',
      '"text"',
    ].map((line): [string, string, string, RegExp] => [
      `the line ${line}`,
      'e.jsonl',
      `{"text": "a"}\n${line}\n`,
      /line 2 of '.*e\.jsonl' has neither text, nor question and answer, nor prompt and completion$/,
    ]),
  ];
  async function failure(promise: Promise<unknown>): Promise<Error> {
    return await promise.then(
      () => expect.fail('it should have been refused'),
      (error: Error) => error,
    );
  }
  for (const [what, name, content, message] of refused) {
    it(`refuses ${what}`, async () => {
      const error = await failure(read(name, content));
      expect(error).to.be.instanceOf(UserError);
      expect(error.message)
        .to.match(/^--data: /)
        .and.to.match(message);
      expect(error.message).to.not.include('\n');
    });
  }

  it('refuses a file that is not there, and a folder', async () => {
    await mkdir(path('folder.txt'));
    for (const [name, code] of [
      ['no.txt', 'ENOENT'],
      ['folder.txt', 'EISDIR'],
    ] as const) {
      const error = await failure(readTextData(path(name)));
      expect(error).to.be.instanceOf(UserError);
      expect(error.message).to.equal(`--data: cannot read '${path(name)}' (${code})`);
    }
  });
});
