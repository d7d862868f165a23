import {type ExecFileException, execFile} from 'node:child_process';

/** Runs a program and returns what it writes; fails with the end of its output if it fails. */
export function run(program: string, args: string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = (error: ExecFileException | null, stdout: string, stderr: string) => {
      if (error === null) return resolve(stdout);
      const output = `${stdout}${stderr}`.slice(-3000);
      reject(new Error(`${[program, ...args].join(' ')} failed (${error.code ?? error.signal}):\n${output}`));
    };
    // npm is a script of the shell on Windows
    execFile(program, args, {cwd, maxBuffer: 1 << 26, timeout: 100_000, shell: program === 'npm'}, done);
  });
}

/** Runs a file of JavaScript, or of TypeScript through tsx, by this Node. */
export const runNode = (file: string, cwd: string): Promise<string> =>
  run(process.execPath, [...(file.endsWith('.ts') ? ['--import', 'tsx'] : []), file], cwd);

/** Runs the TypeScript compiler on a project. */
export const runTsc = (config: string, cwd: string): Promise<string> =>
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', config], cwd);
