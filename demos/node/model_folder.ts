import {open, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {ModelError, type ModelFiles} from '../llama/files.ts';

/** One read of the file system takes at most 2 GiB. */
const MAX_READ = 2 ** 30;

/** A model's files in a folder on disk; a checkpoint is read tensor by tensor, never as a whole. */
export function modelFolder(folder: string): ModelFiles {
  const size = async (name: string) => {
    const found = await stat(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw new ModelError(`${join(folder, name)} cannot be read (${error.code})`);
    });
    if (found && !found.isFile()) throw new ModelError(`${join(folder, name)} is not a file`);
    return found?.size;
  };
  const read = async (name: string, start = 0, end?: number) => {
    const path = join(folder, name);
    const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
      throw new ModelError(`${path} cannot be read (${error.code})`);
    });
    try {
      const bytes = new Uint8Array((end ?? (await handle.stat()).size) - start);
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(MAX_READ, bytes.length - done);
        const {bytesRead} = await handle.read(bytes, done, length, start + done);
        if (bytesRead === 0) throw new ModelError(`${path} ends at byte ${start + done}, before ${end}`);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  };
  return {size, read};
}
