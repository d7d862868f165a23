import {mkdir, open, readdir, readFile, rename} from 'node:fs/promises';
import {join} from 'node:path';
import {show} from '../config.ts';
import type {CheckpointStore} from './checkpoint_store.ts';

/** Makes what was renamed in a folder last. Windows opens no folders, and needs none. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * A folder as a store of checkpoints; it is made with the first. A file is there whole or not at all, whenever the program
 * or the machine ends: it is written beside, made to last, and then renamed.
 */
export function folderStore(folder: string): CheckpointStore {
  const pathOf = (name: string): string => {
    if (/^[\w-][\w.-]*$/.test(name)) return join(folder, name);
    throw new Error(`folderStore: ${show(name)} is no name of a file`);
  };
  const unless = (code: string) => (error: NodeJS.ErrnoException) => {
    if (error.code === code) return undefined;
    throw error;
  };
  return {
    async save(name, bytes) {
      const path = pathOf(name);
      await mkdir(folder, {recursive: true});
      const handle = await open(`${path}.part`, 'w');
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${path}.part`, path);
      await syncFolder(folder);
    },
    load: (name) => readFile(pathOf(name)).catch(unless('ENOENT')),
    async list() {
      const names = (await readdir(folder).catch(unless('ENOENT'))) ?? [];
      return names.filter((name) => !name.endsWith('.part'));
    },
  };
}
