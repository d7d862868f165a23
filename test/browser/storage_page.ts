import {inIndexedDB} from '../../demos/browser/storage/indexed_db_store.ts';
import {opfs} from '../../demos/browser/storage/opfs_store.ts';
import * as storage from '../../demos/browser/storage/storage.ts';
import type {CheckpointStore} from '../../src/index.ts';

const STORAGES = {opfs, inIndexedDB, chosen: {open: storage.openStore, delete: storage.deleteStore}};

/** What a test asks of a page's storage. */
export interface StoragePage {
  save(path: string, name: string, text: string): Promise<void>;
  load(path: string, name: string): Promise<string | undefined>;
  list(path: string): Promise<string[]>;
  delete(path: string): Promise<void>;
}

function pageOf(which: keyof typeof STORAGES): StoragePage {
  const {open, delete: remove} = STORAGES[which];
  const withStore = async <T>(path: string, use: (store: CheckpointStore) => Promise<T>) =>
    use(await open(path));
  return {
    save: (path, name, text) => withStore(path, (store) => store.save(name, new TextEncoder().encode(text))),
    load: (path, name) =>
      withStore(path, async (store) => {
        const bytes = await store.load(name);
        return bytes && new TextDecoder().decode(bytes);
      }),
    list: (path) => withStore(path, async (store) => (await store.list()).sort()),
    delete: (path) => remove(path),
  };
}

Object.assign(globalThis, {storageOf: pageOf});
