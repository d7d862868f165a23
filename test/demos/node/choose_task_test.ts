import {mkdir, readFile} from 'node:fs/promises';
import {expect} from 'chai';
import {chooseTask} from '../../../demos/node/choose_task.ts';
import {type Options, readOptions} from '../../../demos/node/options.ts';
import type {Task} from '../../../demos/node/task.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {type PretrainOptions, readOptions as readPretrainOptions} from '../../../demos/pretrain/options.ts';
import {pretrain} from '../../../demos/pretrain/pretrain.ts';
import {onBackend} from '../llama/fixtures.ts';
import {stderrOf, temporaryFolder} from './demo.ts';

describe('chooseTask', () => {
  onBackend('wasm');
  const path = temporaryFolder();

  before(async () => {
    await mkdir(path('out'));
    const flags = ['--hidden=8', '--layers=1', '--heads=2', '--intermediate=8', '--merges=20', '--steps=1'];
    const folders = [`--out=${path('embedded')}`, `--checkpoints=${path('states')}`];
    const options = readPretrainOptions([...flags, '--seq=32', '--batch=1', ...folders]) as PretrainOptions;
    const texts = Array.from({length: 10}, (_, i) => `a text of some words, number ${i}. `.repeat(20));
    await pretrain(texts, options, {device: 'here'});
  });

  /** A task without the progress of its preparation. */
  async function choose(args: string[], embedded: string): Promise<Task> {
    const options = readOptions([`--out=${path('out')}`, '--seq=16', ...args]) as Options;
    let task: Task;
    await stderrOf(async () => {
      task = await chooseTask(options, () => {}, path(embedded));
    });
    return task!;
  }

  for (const args of [[], ['--task=moby-dick']]) {
    it(`has the embedded model learn Moby Dick: ${args[0] ?? 'by default'}`, async () => {
      const task = await choose(args, 'embedded');
      expect(task).to.include({name: 'embedded on moby-dick.txt', unit: 'tokens', steps: 50});
      expect(await readFile(path('out', 'moby-dick.txt'), 'utf8')).to.match(
        /^CHAPTER 1\. Loomings\.\n\nCall me Ishmael\. .*only found another orphan\.$/s,
      );
      task.dispose();
    });
  }

  for (const [args, embedded] of [
    [['--task=digits'], 'embedded'],
    [[], 'nowhere'],
  ] as const) {
    it(`has a network learn digits: ${args[0] ?? 'where there is no model'}`, async () => {
      const task = await choose([...args, '--batch=4'], embedded);
      expect(task).to.include({name: 'digits lying on their side', unit: 'images'});
      task.dispose();
    });
  }

  it('says that there is no model to learn Moby Dick', async () => {
    let thrown: unknown;
    await choose(['--task=moby-dick'], 'nowhere').catch((error: unknown) => {
      thrown = error;
    });
    expect(thrown).to.be.instanceOf(UserError);
    expect((thrown as Error).message).to.match(
      /^--task moby-dick: no model in .*nowhere; npm run pretrain makes it$/,
    );
  });
});
