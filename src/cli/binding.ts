import {existsSync} from 'node:fs';
import {copyFile, mkdir, readdir} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {CliError} from './cli_error.ts';
import type {Host} from './host.ts';
import {run, tryRun} from './run.ts';
import type {SetupContext} from './setup_context.ts';

/** A C++ compiler: what to run. */
export type Compiler = string[];

/** The one named by CXX, else g++ or clang++. @throws CliError if there is none. */
export async function findCompiler({host, signal}: SetupContext): Promise<Compiler> {
  const candidates = host.env.CXX ? [host.env.CXX] : ['g++', 'clang++', 'c++'];
  for (const candidate of candidates) {
    const [program, ...args] = candidate.split(/\s+/) as [string, ...string[]];
    if ((await tryRun(program, [...args, '--version'], {env: host.env, signal})) !== undefined) {
      return [program, ...args];
    }
  }
  throw new CliError(
    `there is no C++ compiler (${candidates.join(', ')}) to build tfjs's binding with`,
    'apt-get install g++ (Fedora: dnf install gcc-c++), or --binding FILE with one built on another machine',
  );
}

/** Versions of Node's C interface that tfjs-node looks for a binding of: its package.json lists 3 to 8. */
const NEWEST_INTERFACE = 8;

/** Where tfjs-node looks for its binding in its own folder. */
export const BINDING = `lib/napi-v${NEWEST_INTERFACE}/tfjs_binding.node`;

/** The folder of node_api.h: Node's own, else that of npm's package of it, installed into `scratch`. */
async function headers(scratch: string, {host, signal}: SetupContext): Promise<string> {
  const own = resolve(dirname(process.execPath), '../include/node');
  if (existsSync(join(own, 'node_api.h'))) return own;
  await mkdir(scratch, {recursive: true});
  const args = [
    'install',
    '--prefix',
    scratch,
    '--no-save',
    '--ignore-scripts',
    '--no-audit',
    'node-api-headers',
  ];
  const {code, stderr} = await run('npm', args, {cwd: scratch, env: host.env, signal});
  if (code === 0) return join(scratch, 'node_modules/node-api-headers/include');
  const message = `this Node has no headers (${own}), and npm cannot install node-api-headers: ${stderr.trim()}`;
  throw new CliError(
    message,
    'apt-get install libnode-dev, or --binding FILE with one built on another machine',
  );
}

/** Compiles tfjs's binding from its package's sources against the libraries in `root`/deps, into `root`. */
export async function buildBinding(
  compiler: Compiler,
  packageFolder: string,
  root: string,
  context: SetupContext,
): Promise<void> {
  const sources = (await readdir(join(packageFolder, 'binding'))).filter((file) => file.endsWith('.cc'));
  const [program, ...args] = [
    ...compiler,
    ...['-std=c++17', '-O2', '-fPIC', '-shared', `-DNAPI_VERSION=${NEWEST_INTERFACE}`],
    ...['-I', join(root, 'deps/include'), '-I', await headers(join(root, 'headers'), context)],
    ...sources.map((file) => join(packageFolder, 'binding', file)),
    ...['-L', join(root, 'deps/lib'), '-ltensorflow', '-ltensorflow_framework'],
    ...['-Wl,-rpath,$ORIGIN/../../deps/lib', '-o', join(root, BINDING)],
  ] as [string, ...string[]];
  await mkdir(dirname(join(root, BINDING)), {recursive: true});
  const {code, stderr} = await run(program, args, {env: context.host.env, signal: context.signal});
  if (code !== 0) {
    const message = `${program} cannot compile tfjs's binding:\n${stderr.trim().slice(0, 1500)}`;
    throw new CliError(
      message,
      'use a newer compiler (CXX names it), or --binding FILE with one built elsewhere',
    );
  }
}

/** Takes a binding that was built elsewhere. */
export async function copyBinding(file: string, root: string): Promise<void> {
  await mkdir(dirname(join(root, BINDING)), {recursive: true});
  await copyFile(file, join(root, BINDING));
}

const REPORT_VERSION = `console.log(require(process.argv[1]).TF_Version)`;

/** The version that TensorFlow's library gives, loaded through the binding in `root` by a Node of its own. */
export async function loadedVersion(root: string, host: Host, signal?: AbortSignal): Promise<string> {
  const env = {...host.env, TF_CPP_MIN_LOG_LEVEL: '3'};
  const options = {env, timeout: 60_000, ...(signal && {signal})};
  const {code, stdout, stderr} = await run(
    process.execPath,
    ['-e', REPORT_VERSION, join(root, BINDING)],
    options,
  );
  if (code === 0) return stdout.trim();
  const why = /^Error: (.*)$/m.exec(stderr)?.[1] ?? (stderr.trim().slice(-500) || 'the process broke down');
  throw new CliError(
    `tfjs's binding does not load: ${why}`,
    'without --binding it is compiled here; a system older than the libraries needs an older --tf',
  );
}
