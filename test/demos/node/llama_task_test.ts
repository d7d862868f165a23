import {writeFile} from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {llamaTask} from '../../../demos/node/llama_task.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {type Options, readOptions} from '../../../demos/node/options.ts';
import type {Task} from '../../../demos/node/task.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import type {TokenBatch} from '../../../src/index.ts';
import {modelRunner} from '../../../src/model/apply_model.ts';
import {onBackend, tinyConfig} from '../llama/fixtures.ts';
import {ModelServer} from '../llama/model_server.ts';
import {stderrOf, temporaryFolder, textOf, writeLlama} from './demo.ts';

describe('llamaTask', () => {
  onBackend('cpu');
  const path = temporaryFolder();

  before(async () => {
    await writeLlama(path('llama'));
    await writeLlama(path('brief'), tinyConfig({max_position_embeddings: 12}));
    await writeLlama(path('gpt'), tinyConfig({model_type: 'gpt2', architectures: ['GPT2LMHeadModel']}));
    await writeLlama(path('narrow'), tinyConfig({intermediate_size: 16}));
    await writeFile(path('text.txt'), textOf(1000));
  });

  /** A task without the progress of its reading. */
  async function taskOf(model: string, ...options: string[]): Promise<Task> {
    const args = ['--model', path(model), '--data', path('text.txt'), '--seq', '8', ...options];
    let task: Task;
    await stderrOf(async () => {
      task = await llamaTask(readOptions(args) as Options, () => {});
    });
    return task!;
  }

  it('loads a model from an address', async () => {
    const names = ['config.json', 'model.safetensors', 'tokenizer.json'];
    const server = await ModelServer.of(modelFolder(path('llama')), names);
    await server.start();
    try {
      const args = ['--model', server.url, '--data', path('text.txt'), '--seq', '8'];
      const lines: string[] = [];
      const progress = await stderrOf(async () => {
        const task = await llamaTask(readOptions(args) as Options, (line) => lines.push(line));
        task.dispose();
      });
      expect(lines[0]).to.match(/^name: 2 layers/);
      expect(progress).to.include('reading the model');
    } finally {
      await server.stop();
    }
  });

  it('has batches that its seed decides', async () => {
    const losses = async (seed: string) => {
      const task = await taskOf('llama', '--seed', seed);
      const values: number[] = [];
      for (const index of [0, 1, 0]) {
        const batch = await task.data.batch(index);
        values.push(tf.tidy(() => task.loss(batch, modelRunner(true)).dataSync()[0]!));
        tf.dispose(batch as tf.TensorContainer);
      }
      task.dispose();
      return values;
    };
    const [first, second, again] = await losses('4');
    expect(again).to.equal(first);
    expect(second).to.not.equal(first);
    expect(await losses('4')).to.deep.equal([first, second, again]);
    expect((await losses('5'))[0]).to.not.equal(first);
  });

  const heldOutRows = async (task: Task) => {
    const rows: number[][] = [];
    for (let index = 0; index < task.heldOut.count; index++) {
      const {ids, labels} = (await task.heldOut.batch(index)) as TokenBatch;
      rows.push(...(await ids.array()));
      tf.dispose([ids, labels]);
    }
    return rows;
  };

  it('holds out windows side by side, of long data some that are evenly spread', async () => {
    const few = await taskOf('llama', '--batch', '5');
    const rows = await heldOutRows(few);
    expect(rows).to.have.length(12); // of 8 in 100 tokens
    few.dispose();
    await writeFile(path('long.txt'), textOf(400_000));
    const many = await taskOf('llama', '--batch', '64', '--data', path('long.txt'));
    expect(many.heldOut.count).to.equal(16); // 8192 tokens
    many.dispose();
  });

  it('learns completions only where told so, from texts that are packed into rows', async () => {
    const rows = Array.from({length: 30}, (_, i) => ({prompt: 'a big', completion: 'dog'.slice(i % 2)}));
    await writeFile(path('pairs.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const args = ['--data', path('pairs.jsonl'), '--completion-only', '--seq', '20', '--batch', '2'];
    const task = await taskOf('llama', ...args);
    const {ids, labels, segments} = (await task.data.batch(0)) as TokenBatch;
    // <s> a big dog </s>: 9 places, of which the last 4 are learned
    const row = (await ids.array())[0]!;
    expect(row[0]).to.equal(1);
    const learned = (await labels.array())[0]!.filter((label) => label >= 0);
    expect(learned.length).to.be.within(6, 8);
    expect(learned.filter((label) => label === 2)).to.have.length(2);
    expect(new Set((await segments!.array())[0]!).size).to.be.within(2, 3);
    const loss = tf.tidy(() => task.loss({ids, labels, segments}, modelRunner(true)).dataSync()[0]!);
    expect(loss).to.be.above(0);
    const sample: string = JSON.parse(await task.sample());
    expect(sample.startsWith('a big ⟩ ')).to.equal(true);
    tf.dispose([ids, labels, segments!]);
    task.dispose();
  });

  it('takes conversations by the chat template of the model', async () => {
    const rows = Array.from({length: 10}, () => ({
      messages: [
        {role: 'user', content: 'a big'},
        {role: 'assistant', content: 'dog'},
      ],
    }));
    await writeFile(path('chats.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const chat_template =
      '{{ bos_token }}{% for m in messages %}{{ m.content }}{% if m.role == "assistant" %}{{ eos_token }}{% endif %}' +
      '{% endfor %}';
    const settings = {bos_token: '<s>', eos_token: '</s>', chat_template};
    await writeLlama(path('chat'));
    await writeFile(path('chat', 'tokenizer_config.json'), JSON.stringify(settings));
    const args = ['--data', path('chats.jsonl'), '--completion-only', '--batch', '1'];
    const task = await taskOf('chat', ...args);
    const {ids, labels} = (await task.data.batch(0)) as TokenBatch;
    const [row, learned] = [(await ids.array())[0]!, (await labels.array())[0]!];
    expect(row.filter((id) => id === 1)).to.have.length(1);
    expect(learned.slice(0, 5).every((label) => label < 0)).to.equal(true);
    expect(learned.at(-1)).to.be.above(0);
    tf.dispose([ids, labels]);
    task.dispose();
  });

  it('samples within the positions that the model has', async () => {
    const task = await taskOf('brief');
    const sample: string = JSON.parse(await task.sample());
    expect(sample.startsWith(`${textOf(1000).slice(900, 960)} ⟩ `)).to.equal(true);
    expect(await task.sample()).to.equal(JSON.stringify(sample));
    task.dispose();
  });

  const refused: [string, string, string[], RegExp][] = [
    ['a model folder that is not there', 'none', [], /^--model: there is no folder '.*none'$/],
    ['a file in its place', 'text.txt', [], /^--model: there is no folder '.*text\.txt'$/],
    ['a folder without a model', '', [], /^--model '.*': config\.json is missing from the model's files$/],
    [
      'another kind of model',
      'gpt',
      [],
      /^--model '.*gpt': config\.json: model_type "gpt2" is not supported/,
    ],
    [
      'a tensor of the wrong shape',
      'narrow',
      [],
      /^--model '.*narrow': .*gate_proj.* \[20,12\] but .* \[16,12\]$/,
    ],
    ['a sequence beyond its positions', 'brief', ['--seq', '13'], /^--seq must be at most 12 .*, but is 13$/],
    [
      'too little held-out data',
      'llama',
      ['--seq', '64', '--data', 'short.txt'],
      /^--data: the held-out tenth has 60 tokens, but a sequence of 64 needs 65$/,
    ],
    [
      'too little training data',
      'llama',
      ['--seq', '8', '--data', 'few.txt'],
      /^--data: the training part has 8 tokens, but a sequence of 8 needs 9$/,
    ],
    [
      'to tell prompts in a text',
      'llama',
      ['--completion-only'],
      /^--completion-only is for a \.jsonl: a \.txt has no prompts$/,
    ],
    [
      'a batch larger than the data',
      'llama',
      ['--batch', '1000000000'],
      /^--data: 900 training tokens allow a batch of at most 112, not 1000000000$/,
    ],
  ];
  for (const [what, model, options, message] of refused) {
    it(`refuses ${what}`, async () => {
      await writeFile(path('short.txt'), textOf(600));
      await writeFile(path('few.txt'), textOf(9));
      const given = options.map((option) => (option.endsWith('.txt') ? path(option) : option));
      const error = await taskOf(model, ...given).catch((reason: Error) => reason);
      expect(error).to.be.instanceOf(UserError);
      expect((error as Error).message).to.match(message);
      expect((error as Error).message).to.not.include('\n');
    });
  }
});
