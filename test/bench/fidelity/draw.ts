import {readFile} from 'node:fs/promises';
import {writeCharts} from './charts.ts';
import type {Result} from './entries.ts';
import {fidelityTable, summarise} from './summary.ts';

// node --import tsx test/bench/fidelity/draw.ts FILE: prints the table of a JSON file of results, and draws its figures
const file = process.argv[2]!;
const {results} = JSON.parse(await readFile(file, 'utf8')) as {results: Result[]};
const summaries = summarise(results);
console.log(fidelityTable(summaries));
await writeCharts(file, summaries);
