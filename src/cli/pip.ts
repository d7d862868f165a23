import {mkdir, readdir, rename} from 'node:fs/promises';
import {join} from 'node:path';
import {CliError} from './cli_error.ts';
import {cacheFolder} from './host.ts';
import {withPartial} from './partial.ts';
import {type Requirement, requirementText} from './requirement.ts';
import {run, tryRun} from './run.ts';
import type {SetupContext} from './setup_context.ts';

const COMMANDS = [['python3', '-m', 'pip'], ['python', '-m', 'pip'], ['pip3'], ['pip']];

/** The command that runs Python's pip here; undefined if there is none. */
export async function findPip({host, signal}: SetupContext): Promise<string[] | undefined> {
  for (const command of COMMANDS) {
    const [program, ...args] = command as [string, ...string[]];
    if ((await tryRun(program, [...args, '--version'], {env: host.env, signal})) !== undefined)
      return command;
  }
  return undefined;
}

// The libraries do not depend on Python, but pip is to be told of one: TensorFlow 2.18 to 2.21 have wheels for this.
const PYTHON = ['--python-version', '3.12', '--implementation', 'cp'];

/**
 * Downloads wheels into the cache with pip, which knows the user's index, proxy and certificates.
 * @throws CliError with what pip says.
 */
export async function downloadByPip(
  pip: string[],
  requirements: Requirement[],
  indexUrl: string | undefined,
  {host, signal}: SetupContext,
): Promise<void> {
  const cache = cacheFolder(host);
  await withPartial(join(cache, 'pip'), async (partial) => {
    await mkdir(partial, {recursive: true});
    const [program, ...args] = [
      ...pip,
      ...['download', '--no-deps', '--only-binary=:all:', '--no-cache-dir', '--disable-pip-version-check'],
      ...PYTHON,
      ...(indexUrl === undefined ? [] : ['--index-url', indexUrl]),
      ...['-d', partial],
      ...requirements.map(requirementText),
    ] as [string, ...string[]];
    // its temporary files beside the wheels: /tmp is often too small for them
    const env = {...host.env, TMPDIR: partial};
    const {code, stderr} = await run(program, args, {env, signal, stdout: 'show'});
    if (code !== 0) {
      const errors = stderr.split('\n').filter((line) => /^ERROR|error:/i.test(line));
      const why = errors.join('\n') || stderr.trim().slice(-1000);
      throw new CliError(
        `pip could not download ${requirements.map(requirementText).join(', ')}:\n${why}`,
        'pip takes its index, proxy and certificates from its settings (pip config list); --index-url names another' +
          ' index, --wheel FILE takes a wheel that you have',
      );
    }
    for (const file of await readdir(partial)) {
      if (file.endsWith('.whl')) await rename(join(partial, file), join(cache, file));
    }
  });
}
