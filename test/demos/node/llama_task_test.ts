import {writeFile} from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {llamaTask} from '../../../demos/node/llama_task.ts';
import {type Options, readOptions} from '../../../demos/node/options.ts';
import type {Task} from '../../../demos/node/task.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {onBackend, tinyConfig} from '../llama/fixtures.ts';
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

  it('has batches that its seed decides', async () => {
    const losses = async (seed: string) => {
      const task = await taskOf('llama', '--seed', seed);
      const values = [0, 1, 0].map((step) => tf.tidy(() => task.loss(step).dataSync()[0]!));
      task.dispose();
      return values;
    };
    const [first, second, again] = await losses('4');
    expect(again).to.equal(first);
    expect(second).to.not.equal(first);
    expect(await losses('4')).to.deep.equal([first, second, again]);
    expect((await losses('5'))[0]).to.not.equal(first);
  });

  it('tells how far an evaluation is, and ends it when told so', async () => {
    const task = await taskOf('llama', '--batch', '5');
    const done: number[] = [];
    await task.heldOutLoss(async (share) => void done.push(share));
    expect(done).to.deep.equal([5 / 12, 10 / 12, 1]); // 12 windows of 8 in 100 tokens
    const stop = new Error('stop');
    const end = await task.heldOutLoss(() => Promise.reject(stop)).catch((reason: Error) => reason);
    expect(end).to.equal(stop);
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
      /^--data: its held-out tenth has 60 tokens, but --seq 64 needs 65$/,
    ],
    [
      'too little training data',
      'llama',
      ['--seq', '8', '--data', 'few.txt'],
      /^--data: its training part has 8 tokens, but --seq 8 needs 9$/,
    ],
    [
      'a batch larger than the data',
      'llama',
      ['--batch', '1000000000'],
      /^--batch must be at most 112 for 900 training tokens, but is 1000000000$/,
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
