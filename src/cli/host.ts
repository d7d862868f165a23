import {statSync} from 'node:fs';
import {statfs} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {CliError} from './cli_error.ts';

/** What the commands know of the machine; the tests make up others. */
export interface Host {
  platform: string;
  arch: string;
  /** Version of the GNU C library, '2.36' for one; undefined where there is another (musl). */
  glibc: string | undefined;
  env: NodeJS.ProcessEnv;
  /** The file system that a folder is on, and the bytes that are free there. */
  space(folder: string): Promise<{device: number; free: number}>;
}

function glibcVersion(): string | undefined {
  const {report} = process as {report?: NodeJS.ProcessReport & {excludeNetwork?: boolean}};
  if (report === undefined) return undefined;
  report.excludeNetwork = true; // it would look up the names of all connections
  const {header} = report.getReport() as {header?: {glibcVersionRuntime?: string}};
  return header?.glibcVersionRuntime;
}

export function thisHost(): Host {
  return {
    platform: process.platform,
    arch: process.arch,
    glibc: glibcVersion(),
    env: process.env,
    async space(folder) {
      const {bavail, bsize} = await statfs(folder);
      return {device: statSync(folder).dev, free: bavail * bsize};
    },
  };
}

/** Where downloaded wheels are kept: tfjs-celora in XDG_CACHE_HOME, or in ~/.cache. */
export const cacheFolder = ({env}: Host): string =>
  join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tfjs-celora');

/** Why TensorFlow's libraries cannot run on a machine; undefined if they can. */
export function platformRefusal({platform, arch, glibc}: Host): CliError | undefined {
  const instead = "what works here instead: chooseBackend('webgpu'), on the GPU, or chooseBackend('wasm')";
  if (platform !== 'linux' || arch !== 'x64') {
    const names: Record<string, string> = {darwin: 'macOS', win32: 'Windows', linux: 'Linux'};
    const here = `${names[platform] ?? platform} on ${arch}`;
    return new CliError(`backend tensorflow needs Linux on x64, and this is ${here}`, instead);
  }
  if (glibc === undefined) {
    return new CliError("TensorFlow's libraries need the GNU C library, which this Linux has not", instead);
  }
  return undefined;
}

const GIGABYTE = 1e9;

/** Throws if the file systems of `folders`, which exist, have less room than is asked for, taken together. */
export async function requireSpace(host: Host, needs: {folder: string; bytes: number}[]): Promise<void> {
  const systems = new Map<number, {folder: string; bytes: number; free: number}>();
  for (const {folder, bytes} of needs) {
    const {device, free} = await host.space(folder);
    systems.set(device, {folder, free, bytes: bytes + (systems.get(device)?.bytes ?? 0)});
  }
  for (const {folder, bytes, free} of systems.values()) {
    if (bytes <= free) continue;
    const [needed, left] = [bytes, free].map((size) => (size / GIGABYTE).toFixed(1));
    throw new CliError(
      `not enough space: ${needed} GB are needed in ${folder}, and ${left} GB are free`,
      'free some, or put the wheels elsewhere with XDG_CACHE_HOME, or the libraries with --dir',
    );
  }
}
