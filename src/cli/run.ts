import {type SpawnOptions, spawn} from 'node:child_process';

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  /** 'show' passes the program's output on, to stderr. Default: it is only returned. */
  stdout?: 'show';
  /** Milliseconds after which the program is ended. Default: never. */
  timeout?: number;
}

export interface RunResult {
  /** Its exit code; null if a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. @throws Error with code ENOENT if there is no such program, AbortError if aborted. */
export function run(program: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  const {stdout, signal, timeout, ...others} = options;
  const stdio: SpawnOptions['stdio'] = ['ignore', stdout === 'show' ? 2 : 'pipe', 'pipe'];
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {...others, stdio});
    const result = {stdout: '', stderr: ''};
    child.stdout?.setEncoding('utf8').on('data', (text) => (result.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text) => (result.stderr += text));
    // not spawn's own signal, which does not wait until the program has ended and writes no more
    const stop = () => child.kill();
    signal?.addEventListener('abort', stop);
    // nor spawn's own timeout, which keeps the process alive where there is no such program
    const timer = timeout === undefined ? undefined : setTimeout(stop, timeout);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) reject(signal.reason);
      else resolve({code, ...result});
    });
  });
}

/** The same, but undefined if there is no such program or it fails. */
export async function tryRun(
  program: string,
  args: string[],
  options?: RunOptions,
): Promise<string | undefined> {
  const result = await run(program, args, options).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'EACCES') return undefined;
    throw error;
  });
  return result?.code === 0 ? result.stdout : undefined;
}
