import type {PageStorage} from './storage.ts';

const ignoreMissing = (error: unknown): undefined => {
  if (error instanceof DOMException && error.name === 'NotFoundError') return undefined;
  throw error;
};

/** The folder of a path, made where it is missing. */
async function folderAt(path: string): Promise<FileSystemDirectoryHandle> {
  let folder = await navigator.storage.getDirectory();
  for (const name of path.split('/')) folder = await folder.getDirectoryHandle(name, {create: true});
  return folder;
}

/**
 * Stores as folders of the page's own file system (origin private file system). A file is there whole or not at all: the
 * browser writes beside it, and exchanges the two when it is closed.
 */
export const opfs: PageStorage = {
  async open(path) {
    const folder = await folderAt(path);
    return {
      async save(name, bytes) {
        const file = await folder.getFileHandle(name, {create: true});
        const writable = await file.createWritable();
        await writable.write(bytes);
        await writable.close();
      },
      async load(name) {
        const file = await folder.getFileHandle(name).catch(ignoreMissing);
        return file && new Uint8Array(await (await file.getFile()).arrayBuffer());
      },
      async list() {
        const names: string[] = [];
        for await (const [name, {kind}] of folder.entries()) if (kind === 'file') names.push(name);
        return names;
      },
    };
  },
  async delete(path) {
    const [name, ...above] = path.split('/').reverse();
    const root = await navigator.storage.getDirectory();
    const folder = above.length === 0 ? root : await folderAt(above.reverse().join('/'));
    await folder.removeEntry(name!, {recursive: true}).catch(ignoreMissing);
  },
};
