import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import type {Job, Result} from './entries.ts';
import type {Answer, Setup} from './worker.ts';

const HERE = import.meta.dirname;

export interface Processes {
  processes: number;
  /** NVIDIA GPUs, one of which each process sees; 0: it sees what there is. */
  gpus: number;
  /** What a process runs. Default: `worker.ts`. */
  script?: string;
  /** Called with what came of a job; an error is that of the job, or says how its process ended. */
  onDone: (job: Job, answer: {result: Result} | {error: string}) => Promise<void> | void;
}

function start(setup: Setup, script: string, gpu: number | undefined): ChildProcess {
  const node = [process.execPath, ...process.execArgv, script, JSON.stringify(setup)];
  const [command, ...args] = gpu === undefined ? node : [join(HERE, 'one_gpu.sh'), String(gpu), ...node];
  return spawn(command!, args, {stdio: ['ignore', 'inherit', 'inherit', 'ipc']});
}

/** What a process says next; how it ended, if it does not. */
async function answer(child: ChildProcess): Promise<Exclude<Answer, 'ready'> | undefined> {
  const controller = new AbortController();
  const {signal} = controller;
  try {
    const said = once(child, 'message', {signal}).then(([message]) => message as Answer);
    const ended = once(child, 'exit', {signal}).then(
      ([code, by]): Answer => ({error: `its process ended with ${by ?? `code ${code}`}`}),
    );
    const first = await Promise.race([said, ended]);
    return first === 'ready' ? undefined : first;
  } finally {
    controller.abort();
  }
}

/**
 * Does jobs in several processes, the first ones first. A process that ends costs the job that it was at; another one takes
 * its place. @throws Error if a process cannot start.
 */
export async function runJobs(
  jobs: readonly Job[],
  setup: Setup,
  {processes, gpus, script = join(HERE, 'worker.ts'), onDone}: Processes,
): Promise<void> {
  const waiting = [...jobs];
  const lane = async (index: number) => {
    let child: ChildProcess | undefined;
    try {
      for (let job = waiting.shift(); job; job = waiting.shift()) {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
          child = start(setup, script, gpus > 0 ? index % gpus : undefined);
          const failed = await answer(child);
          if (failed) throw new Error(`fidelity: a process did not start: ${Object.values(failed)}`);
        }
        const done = answer(child);
        child.send(job);
        await onDone(job, (await done)!);
      }
    } finally {
      child?.kill();
    }
  };
  await Promise.all(Array.from({length: Math.min(processes, jobs.length)}, (_, i) => lane(i)));
}
