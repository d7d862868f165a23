import {join} from 'node:path';
import {adapterFiles, applyCELoRA, removeCELoRA} from '../../src/index.ts';
import {chooseBackend, writeAdapter} from '../../src/node.ts';
import {chooseTask} from './choose_task.ts';
import {compare, verdict} from './compare.ts';
import {type Options, readOptions, USAGE} from './options.ts';
import {prepareOutput, writeRun} from './output.ts';
import type {Task} from './task.ts';
import {UserError} from './user_error.ts';

const say = (line: string) => console.log(line);

/** The first Ctrl-C ends training and saves; a second one ends the program. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      process.stderr.write('\nstopping after this step and saving; once more to quit at once\n');
      controller.abort();
    });
  }
  return controller.signal;
}

/** Everything before training can only fail on account of what the user gave. */
async function prepare(options: Options): Promise<{task: Task; backend: string; device: string}> {
  try {
    await prepareOutput(options.out);
    const {backend, device, reason} = await chooseBackend(options.backend);
    say(`backend ${backend}: ${device}${reason ? ` (${reason})` : ''}`);
    const task = await chooseTask(options, say);
    // a --target that matches nothing is to be said now, not after the first evaluation
    applyCELoRA(task.model, {...options.celora, target: options.target ?? task.target});
    removeCELoRA(task.model);
    return {task, backend, device};
  } catch (error) {
    throw error instanceof UserError ? error : new UserError((error as Error).message, {cause: error});
  }
}

async function main(args: string[]): Promise<void> {
  const options = readOptions(args);
  if (options === 'help') {
    say(USAGE);
    return;
  }
  const {task, backend, device} = await prepare(options);
  const signal = abortOnSignals();
  const result = await compare(task, options, {
    signal,
    say,
    onTrained: async () =>
      writeAdapter(join(options.out, 'adapter'), await adapterFiles(task.model, task.base)),
  });
  await writeRun(options.out, {task: task.name, backend, device, options}, result);
  task.dispose();
  say(verdict(result));
  const adapter = result.celora ? 'adapter/, ' : '';
  say(`${options.out}: ${adapter}loss.svg, run.json${result.interrupted ? ' (interrupted)' : ''}`);
}

try {
  await main(process.argv.slice(2));
  process.exit(0); // a GPU device keeps the process alive
} catch (error) {
  const {message} = error as Error;
  process.stderr.write(`error: ${message.split('\n')[0]}\n`);
  if (process.env.DEBUG) console.error(error);
  process.exit(error instanceof UserError ? 2 : 1);
}
