import {mkdir, writeFile} from 'node:fs/promises';
import {expect} from 'chai';
import type {TextData} from '../../../demos/llama/text_data.ts';
import {readTextData} from '../../../demos/node/text_data.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import type {Example, RenderChat} from '../../../src/index.ts';
import {temporaryFolder} from './demo.ts';

const learned = (...texts: string[]) => texts.map((text) => [{text, learn: true}]);
const pair = (prompt: string, text: string) => [
  {text: prompt, learn: false},
  {text, learn: true},
];

describe('readTextData', () => {
  const path = temporaryFolder();

  async function read(name: string, content: string | Uint8Array, template?: string): Promise<TextData> {
    await writeFile(path(name), content);
    return (await readTextData(path(name), template))({});
  }

  it('holds out the last tenth of a text', async () => {
    const text = Array.from({length: 100}, (_, i) => `line ${String(i).padStart(3, '0')}\n`).join('');
    expect(await read('a.txt', text)).to.deep.equal({
      train: learned(text.slice(0, 810)),
      heldOut: learned(text.slice(810)),
      kind: 'parts',
      prompt: text.slice(810, 870),
    });
  });

  it('passes over the mark that begins a file of UTF-8, and minds no capitals', async () => {
    const {train} = await read('b.TXT', '\ufeffzebra and ün');
    expect(train).to.deep.equal(learned('zebra and '));
  });

  const FORMS: [string, object[], Example[], string][] = [
    ['text', [{text: 'one'}, {text: 'two', id: 7}, {text: 'three'}], learned('one', 'two', 'three'), 'three'],
    [
      'question and answer',
      [
        {question: '1 + 1?', answer: '2'},
        {question: '2 + 2?', answer: '4'},
      ],
      [pair('Question: 1 + 1?\nAnswer: ', '2\n\n'), pair('Question: 2 + 2?\nAnswer: ', '4\n\n')],
      'Question: 2 + 2?\nAnswer:',
    ],
    [
      'prompt and completion',
      [
        {prompt: 'a', completion: 'b'},
        {prompt: 'c', completion: 'd'},
      ],
      [pair('a', 'b'), pair('c', 'd')],
      'c',
    ],
    [
      'an empty prompt',
      [
        {prompt: 'a', completion: 'b'},
        {prompt: '', completion: 'd'},
      ],
      [pair('a', 'b'), ...learned('d')],
      'd',
    ],
  ];
  for (const [form, rows, texts, start] of FORMS) {
    it(`reads .jsonl with ${form}, each example from its own beginning`, async () => {
      const {train, heldOut, prompt, kind} = await read(
        'a.jsonl',
        rows.map((row) => JSON.stringify(row)).join('\r\n\n'),
      );
      expect(train).to.deep.equal(texts.slice(0, -1));
      expect(heldOut).to.deep.equal(texts.slice(-1));
      expect({prompt, kind}).to.deep.equal({prompt: start, kind: 'texts'});
    });
  }

  it('holds out the last tenth of the examples, and leaves out those without text', async () => {
    const rows = Array.from({length: 20}, (_, i) => `{"text": "${i}"}`);
    const {train, heldOut} = await read(
      'c.jsonl',
      [...rows.slice(0, 19), '{"text": ""}', rows[19]].join('\n'),
    );
    expect(train).to.deep.equal(learned(...Array.from({length: 18}, (_, i) => String(i))));
    expect(heldOut).to.deep.equal(learned('18', '19'));
  });

  it('reads .jsonl by a template', async () => {
    const rows = ['{"q": "1 + 1", "a": 2}', '{"q": "2 + 2", "a": 4}'].join('\n');
    const {train, prompt} = await read('t.jsonl', rows, '{q} = {a}.');
    expect(train).to.deep.equal([pair('1 + 1 = ', '2.')]);
    expect(prompt).to.equal('2 + 2 =');
    const error = await failure(read('t.jsonl', rows, '{q} = {b}'));
    expect(error).to.be.instanceOf(UserError);
    expect(error.message).to.match(/^--data: line 1 of '.*t\.jsonl' has no text under 'b'$/);
  });

  it('reads conversations by the chat template of the model', async () => {
    const row = JSON.stringify({
      messages: [
        {role: 'user', content: 'a'},
        {role: 'assistant', content: 'b'},
      ],
    });
    await writeFile(path('m.jsonl'), `${row}\n${row}`);
    const renderChat: RenderChat = (messages, {addGenerationPrompt}) =>
      messages.map(({role, content}) => `[${role}]${content}`).join('') +
      (addGenerationPrompt ? '[assistant]' : '');
    expect((await readTextData(path('m.jsonl')))({renderChat})).to.deep.equal({
      train: [pair('[user]a[assistant]', 'b')],
      heldOut: [pair('[user]a[assistant]', 'b')],
      kind: 'chats',
      prompt: '[user]a[assistant]',
    });
    const error = await failure(read('m.jsonl', `${row}\n${row}`));
    expect(error.message).to.match(
      /^--data: line 1 of .* has messages, but the model's tokenizer_config\.json has no chat_template$/,
    );
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
    ...['{"txt": "a"}', '{"text": 1}', '{"question": "a"}', '{"completion": "a"}'].map(
      (line): [string, string, string, RegExp] => [
        `the line ${line}`,
        'e.jsonl',
        `{"text": "a"}\n${line}\n`,
        /line 2 of '.*e\.jsonl' has neither text, nor question and answer, nor prompt and completion, nor messages$/,
      ],
    ),
    ...['["a"]', 'null', '"text"'].map((line): [string, string, string, RegExp] => [
      `the line ${line}`,
      'e.jsonl',
      `{"text": "a"}\n${line}\n`,
      /line 2 of '.*e\.jsonl' is not a JSON object$/,
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
