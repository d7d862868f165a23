import {mkdir, readdir, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Calls `work` with a name beside `target`, where it may prepare what it then renames into its place. Whatever is still
 * there afterwards is removed, and so is what a process that was killed has left there.
 */
export async function withPartial<T>(target: string, work: (partial: string) => Promise<T>): Promise<T> {
  const parent = dirname(target);
  const prefix = `${basename(target)}.partial-`;
  await mkdir(parent, {recursive: true});
  for (const name of await readdir(parent)) {
    if (name.startsWith(prefix) && !isRunning(Number(name.slice(prefix.length)))) {
      await rm(join(parent, name), {recursive: true, force: true});
    }
  }
  const partial = join(parent, `${prefix}${process.pid}`);
  try {
    return await work(partial);
  } finally {
    await rm(partial, {recursive: true, force: true});
  }
}
