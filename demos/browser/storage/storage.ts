import type {CheckpointStore} from '../../../src/index.ts';
import {inIndexedDB} from './indexed_db_store.ts';
import {opfs} from './opfs_store.ts';

/** What a browser keeps for a page, in folders that need no making. */
export interface PageStorage {
  /** The folder of a path, 'run/celora' for one, as a store. */
  open(path: string): Promise<CheckpointStore>;
  /** Deletes a folder, and those in it. */
  delete(path: string): Promise<void>;
}

/** The page's own file system; a database where there is none, where it cannot be written, or where it is refused. */
async function choose(): Promise<PageStorage> {
  if (!('FileSystemFileHandle' in globalThis && 'createWritable' in FileSystemFileHandle.prototype)) {
    return inIndexedDB;
  }
  return navigator.storage.getDirectory().then(
    () => opfs,
    () => inIndexedDB,
  );
}

let chosen: Promise<PageStorage> | undefined;

const storage = (): Promise<PageStorage> => {
  chosen ??= choose();
  return chosen;
};

/**
 * A folder of the browser's storage as a store of checkpoints. What it has stays when the page goes.
 * @throws DOMException where the browser gives the page no storage.
 */
export const openStore = async (path: string): Promise<CheckpointStore> => (await storage()).open(path);

/** Deletes a store, and those in it. */
export const deleteStore = async (path: string): Promise<void> => (await storage()).delete(path);
