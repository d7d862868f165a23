import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect} from 'chai';
import type {Job} from './entries.ts';
import {runJobs} from './processes.ts';

/** Does nothing but say so, dies of one job, and cannot do another. */
const WORKER = `
process.on('message', ({row}) => {
  if (row === 'dies') process.exit(7);
  process.send(row === 'fails' ? {error: 'no number'} : {result: {row, pid: process.pid}});
});
process.send('ready');
`;

describe('bench fidelity: processes', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'processes-'));
    await writeFile(join(folder, 'worker.mjs'), WORKER);
    await writeFile(join(folder, 'broken.mjs'), 'process.exit(3);');
  });
  after(() => rm(folder, {recursive: true}));

  const setup = {backend: 'cpu', flags: [], model: '', protocol: {steps: 1, length: 1, windows: 1}};

  async function run(rows: string[], processes: number, script = 'worker.mjs') {
    const jobs = rows.map((row): Job => ({kind: 'run', row, file: 'a.txt', seed: 0}));
    const answers: Record<string, unknown> = {};
    await runJobs(jobs, setup, {
      processes,
      gpus: 0,
      script: join(folder, script),
      onDone: ({row}, answer) => {
        answers[row] = answer;
      },
    });
    return answers;
  }

  it('do every job once, and stay for the next', async () => {
    const rows = ['a', 'b', 'c', 'd', 'e'];
    const answers = await run(rows, 2);
    expect(Object.keys(answers)).to.have.members(rows);
    const pids = Object.values(answers).map((answer) => (answer as {result: {pid: number}}).result.pid);
    expect(new Set(pids).size).to.be.within(1, 2);
  });

  it('that die cost their job alone', async () => {
    const answers = await run(['a', 'dies', 'fails', 'b'], 1);
    expect(Object.keys(answers)).to.have.members(['a', 'dies', 'fails', 'b']);
    expect(answers.dies).to.deep.equal({error: 'its process ended with code 7'});
    expect(answers.fails).to.deep.equal({error: 'no number'});
    expect(answers.b).to.have.property('result');
  });

  it('that cannot start are an error', async () => {
    const error = await run(['a'], 1, 'broken.mjs').catch((reason: Error) => reason);
    expect(String(error)).to.match(/a process did not start: its process ended with code 3$/);
  });
});
