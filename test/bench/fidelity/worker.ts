import {loadLlama} from '../../../demos/llama/load.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {startBackend} from '../backend.ts';
import {readTokens, type Tokens} from './data.ts';
import type {Job, Protocol, Result} from './entries.ts';
import {fidelityRows} from './rows.ts';
import {perform} from './train.ts';

/** What a process is started with, as JSON. */
export interface Setup {
  backend: string;
  flags: readonly string[];
  /** Folder of a Llama. */
  model: string;
  protocol: Protocol;
}

/** What a process says: that it takes jobs, and what came of one. */
export type Answer = 'ready' | {result: Result} | {error: string};

const setup = JSON.parse(process.argv[2]!) as Setup;
const say = (answer: Answer) => process.send!(answer);
process.on('disconnect', () => process.exit()); // the process that gives out jobs is gone

await startBackend(setup.backend, setup.flags);
const loaded = await loadLlama(modelFolder(setup.model));
const rows = new Map(fidelityRows(loaded.config.numLayers).map((row) => [row.name, row]));
const known = new Map<string, Tokens>();

async function work(job: Job): Promise<Result> {
  const tokens = known.get(job.file) ?? (await readTokens(job.file, loaded.tokenizer));
  known.set(job.file, tokens);
  return await perform(job, rows.get(job.row)!, setup.protocol, loaded, tokens);
}

process.on('message', (job: Job) => {
  work(job).then(
    (result) => say({result}),
    (error: unknown) => say({error: String(error)}),
  );
});
say('ready');
