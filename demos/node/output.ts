import {access, constants, mkdir, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {lossChart} from './chart.ts';
import {type Comparison, verdict} from './compare.ts';
import type {Options} from './options.ts';
import {UserError} from './user_error.ts';

/** A file is there whole or not at all. */
async function write(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.part`, content);
  await rename(`${path}.part`, path);
}

/** Makes the folder now, so that a run does not fail at its end. */
export async function prepareOutput(folder: string): Promise<void> {
  try {
    await mkdir(folder, {recursive: true});
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new UserError(`--out: cannot write to '${folder}' (${(error as NodeJS.ErrnoException).code})`);
  }
}

export interface RunInfo {
  task: string;
  backend: string;
  device: string;
  options: Options;
}

export async function writeRun(folder: string, info: RunInfo, result: Comparison): Promise<void> {
  const {target, ...options} = info.options;
  const run = {
    ...info,
    options: {...options, target: target && String(target)},
    ...result,
    verdict: verdict(result),
  };
  await write(join(folder, 'loss.svg'), lossChart(result, info.task));
  await write(join(folder, 'run.json'), `${JSON.stringify(run, null, 2)}\n`);
}
