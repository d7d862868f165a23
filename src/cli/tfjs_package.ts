import {existsSync, readFileSync, realpathSync} from 'node:fs';
import {mkdir, readdir, rm} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {delimiter, dirname, join, resolve} from 'node:path';
import {CliError} from './cli_error.ts';
import {run} from './run.ts';
import type {SetupContext} from './setup_context.ts';

export const TFJS_NODE = '@tensorflow/tfjs-node-gpu';
const TFJS_CORE = '@tensorflow/tfjs-core';

/** The release of tfjs that this package is for. */
export const TFJS_VERSION = '4.22.0';

export interface FoundPackage {
  /** Its folder, with links resolved. */
  folder: string;
  version: string;
}

/** The package that programs in a folder get by a name; undefined if they get none. */
export function findPackage(name: string, from: string): FoundPackage | undefined {
  try {
    const path = createRequire(join(from, 'package.json')).resolve(`${name}/package.json`);
    return {folder: dirname(realpathSync(path)), version: JSON.parse(readFileSync(path, 'utf8')).version};
  } catch {
    return undefined;
  }
}

const OTHER_MANAGERS = [
  ['pnpm-lock.yaml', 'pnpm add -O --ignore-scripts'],
  ['yarn.lock', 'yarn add -O --ignore-scripts'],
  ['bun.lock', 'bun add --optional --ignore-scripts'],
] as const;

/**
 * Installs tfjs-node-gpu in a project, without its install script, which downloads a TensorFlow of 2022. As an optional
 * dependency: where that script fails, an `npm ci` of the project elsewhere passes over it.
 */
export async function installTfjsNode(
  project: string,
  {host, signal, say}: SetupContext,
): Promise<FoundPackage> {
  const wanted = `${TFJS_NODE}@${findPackage(TFJS_CORE, project)?.version ?? TFJS_VERSION}`;
  const other = OTHER_MANAGERS.find(([lockFile]) => existsSync(join(project, lockFile)));
  if (other !== undefined) {
    throw new CliError(
      `${TFJS_NODE} is not installed in ${project}`,
      `${other[1]} ${wanted}, and then this again`,
    );
  }
  say(`installing ${wanted} in ${project}`);
  await mkdir(project, {recursive: true});
  await npm(['install', '--save-optional', '--ignore-scripts', wanted], project, host.env, signal);
  await shareTfjs(project);
  const found = findPackage(TFJS_NODE, project);
  if (found === undefined) throw new Error(`npm has not installed ${TFJS_NODE} in ${project}`);
  return found;
}

/** Takes it out again, after a set-up that came to nothing. */
export async function uninstallTfjsNode(project: string, {host}: SetupContext): Promise<void> {
  await npm(['uninstall', '--ignore-scripts', TFJS_NODE], project, host.env);
}

async function npm(
  args: string[],
  project: string,
  env: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<void> {
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const options = {cwd: project, env, ...(signal && {signal})};
  const {code, stdout, stderr} = await run('npm', ['--prefix', project, ...args, ...quiet], options);
  if (code === 0) return;
  const mend = 'npm takes its registry, proxy and certificates from its settings (npm config list)';
  throw new CliError(`npm ${args.join(' ')} failed:\n${`${stderr}${stdout}`.trim().slice(-1500)}`, mend);
}

/**
 * Leaves packages of tfjs to the project around, if `project` is a folder in one that has them in the same version: two
 * copies would register their kernels and gradients over each other's.
 */
async function shareTfjs(project: string): Promise<void> {
  const scope = join(project, 'node_modules/@tensorflow');
  for (const file of existsSync(scope) ? await readdir(scope) : []) {
    const name = `@tensorflow/${file}`;
    const around = findPackage(name, dirname(project));
    if (around === undefined || name === TFJS_NODE) continue;
    const isSame = around.version === findPackage(name, project)?.version;
    if (isSame) await rm(join(scope, file), {recursive: true});
  }
}

/** The copies of tfjs-core that a project's parts get: one, if all is well. */
export function tfjsCopies(project: string, packages: FoundPackage[]): FoundPackage[] {
  const from = [project, ...packages.map(({folder}) => folder)];
  const found = from.flatMap((folder) => findPackage(TFJS_CORE, folder) ?? []);
  return [...new Map(found.map((copy) => [copy.folder, copy])).values()];
}

/** What is wrong with more than one copy, and what to do about it. */
export function copiesError(copies: FoundPackage[], project: string): CliError | undefined {
  if (copies.length < 2) return undefined;
  const elsewhere = process.env.NODE_PATH?.split(delimiter).filter(Boolean) ?? [];
  const isElsewhere = copies.some(({folder}) => elsewhere.some((path) => folder.startsWith(resolve(path))));
  const list = copies.map(({folder, version}) => `${version} in ${folder}`).join(', ');
  const versions = new Set(copies.map(({version}) => version));
  return new CliError(
    `there are ${copies.length} copies of ${TFJS_CORE}, which register over each other: ${list}`,
    isElsewhere
      ? `unset NODE_PATH; npx tfjs-celora setup tensorflow --dir ${project}`
      : versions.size === 1
        ? 'npm dedupe'
        : `npm install ${TFJS_CORE}@${TFJS_VERSION} && npm dedupe`,
  );
}
