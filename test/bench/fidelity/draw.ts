import {readFile} from 'node:fs/promises';
import {writeCharts} from './charts.ts';
import type {Result} from './entries.ts';
import {fidelityTable, summarise} from './summary.ts';

// node --import tsx test/bench/fidelity/draw.ts FILE [TIMES]: prints the table of a JSON file of results, and draws its
// figures; the times of steps are those of the other file, if there is one
const [file, times] = process.argv.slice(2);
const read = async (path: string) =>
  (JSON.parse(await readFile(path, 'utf8')) as {results: Result[]}).results;
const ofKind = (results: Result[], kind: Result['kind']) => results.filter((one) => one.kind === kind);

const own = await read(file!);
const results = times ? [...ofKind(own, 'run'), ...ofKind(await read(times), 'time')] : own;
const summaries = summarise(results);
console.log(fidelityTable(summaries));
await writeCharts(file!, summaries);
