import {stat, writeFile} from 'node:fs/promises';
import {join, relative, resolve} from 'node:path';
import {mobyDick} from '../data.ts';
import {digitsTask} from './digits_task.ts';
import {llamaTask} from './llama_task.ts';
import type {Options} from './options.ts';
import type {Task} from './task.ts';
import {UserError} from './user_error.ts';

/** Where `npm run pretrain` puts the base model of the demo. */
const EMBEDDED = resolve(import.meta.dirname, '../model');

/**
 * Training steps on Moby Dick: with the embedded model of 4 million parameters a hundred, by both methods, take three minutes
 * on 2 CPU cores.
 */
const STEPS = 50;

const isThere = async (folder: string): Promise<boolean> =>
  (await stat(join(folder, 'model.safetensors')).catch(() => undefined)) !== undefined;

/**
 * What is asked for: a Llama on a text that were given, or a task by its name. By default the embedded model learns Moby
 * Dick, whose text is written into the folder of --out; where there is no such model, a network learns digits.
 * @param embedded The folder of the embedded model.
 * @throws UserError for what is wrong with model, data or options.
 */
export async function chooseTask(
  options: Options,
  say: (line: string) => void,
  embedded = EMBEDDED,
): Promise<Task> {
  if (options.model !== undefined) return await llamaTask(options, say);
  const hasModel = await isThere(embedded);
  const {task = hasModel ? 'moby-dick' : 'digits'} = options;
  if (task === 'digits') return await digitsTask(options);
  if (!hasModel) {
    throw new UserError(
      `--task moby-dick: no model in ${relative('.', embedded)}; npm run pretrain makes it`,
    );
  }
  const data = join(options.out, 'moby-dick.txt');
  await writeFile(data, await mobyDick());
  return await llamaTask({...options, model: embedded, data, steps: options.steps ?? STEPS}, say);
}
