import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {parseConfig} from '../../../demos/llama/config.ts';
import type {Suite} from '../suite.ts';
import {writeCharts} from './charts.ts';
import {dataName} from './data.ts';
import type {Job, Protocol, Result} from './entries.ts';
import {runJobs} from './processes.ts';
import {fidelityRows, isTimed} from './rows.ts';
import {fidelityTable, summarise} from './summary.ts';

const keyOf = (kind: string, data: string, row: string, seed: number) =>
  JSON.stringify([kind, data, row, seed]);

/** The results that a file holds. @throws Error for those of another protocol. */
async function readResults(path: string | undefined, protocol: Protocol): Promise<Result[]> {
  const text = path && (await readFile(path, 'utf8').catch(() => undefined));
  const {results} = text ? (JSON.parse(text) as {results: Result[]}) : {results: []};
  for (const name of ['steps', 'length', 'windows'] as const) {
    const other = results.find((result) => result[name] !== protocol[name]);
    if (!other) continue;
    throw new Error(`fidelity: ${path} holds runs of ${name} ${other[name]}, not ${protocol[name]}`);
  }
  return results;
}

/** Shorter lists first: what every configuration does with one seed is worth more than many seeds of a few. */
function jobsOf(
  rows: readonly string[],
  files: readonly string[],
  seeds: readonly number[],
  time: boolean,
): Job[] {
  if (time) return rows.map((row) => ({kind: 'time', row, file: files[0]!, seed: 0}));
  return seeds.flatMap((seed) =>
    files.flatMap((file) => rows.map((row): Job => ({kind: 'run', row, file, seed}))),
  );
}

/**
 * Held-out loss of every configuration, against exact LoRA and against exact LoRA at the same cost, and in the same time, by
 * smaller batches; `train.ts` has the protocol. Losses come from several processes at once; times from runs of their own, with
 * `--time`, on a machine that does nothing else. Both go into one JSON file, and what that holds is not done again.
 */
export const fidelitySuite: Suite = async ({fidelity, say, save}) => {
  const {model, data: files, only, seeds, time, processes, gpus, json, setup} = fidelity;
  const {steps, length, windows} = fidelity;
  if (model === undefined || files.length === 0)
    throw new Error('fidelity needs --model FOLDER and --data FILE');
  const config = parseConfig(JSON.parse(await readFile(join(model, 'config.json'), 'utf8')));
  const all = fidelityRows(config.numLayers)
    .filter((row) => !time || isTimed(row))
    .map(({name}) => name);
  const rows = all.filter((name) => only === undefined || only.some((part) => name.includes(part)));
  if (rows.length === 0) throw new Error(`--rows ${only?.join(', ')} is part of none of: ${all.join('; ')}`);

  const protocol = {steps, length, windows};
  const results = await readResults(json, protocol);
  const done = new Set(results.map(({kind, data, row, seed}) => keyOf(kind, data, row, seed)));
  const jobs = jobsOf(rows, files, seeds, time).filter(
    ({kind, file, row, seed}) => !done.has(keyOf(kind, dataName(file), row, seed)),
  );
  say(`${jobs.length} to do, ${results.length} done`);
  await runJobs(
    jobs,
    {...setup, model, protocol},
    {
      processes: time ? 1 : processes,
      gpus,
      async onDone({row, file, seed}, answer) {
        const name = `${dataName(file)}, ${row}, seed ${seed}`;
        if ('error' in answer) {
          say(`${name}: ${answer.error}`);
          return;
        }
        const {result} = answer;
        results.push(result);
        say(
          result.kind === 'time'
            ? `${name}: ${result.milliseconds.toFixed(1)} ms a step`
            : `${name}: cost ${result.cost.toFixed(3)}, held-out ${result.loss.toFixed(4)}`,
        );
        await save(results);
      },
    },
  );
  const summaries = summarise(results);
  say(fidelityTable(summaries));
  if (json !== undefined) await writeCharts(json, summaries);
  return results;
};
