import type {PageStorage} from './storage.ts';

const DATABASE = 'tfjs-celora';
/** Files by their paths. */
const FILES = 'files';

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error));
  });

const completed = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.addEventListener('complete', () => resolve());
    transaction.addEventListener('abort', () => reject(transaction.error));
  });

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.addEventListener('upgradeneeded', () => request.result.createObjectStore(FILES));
  return done(request);
}

/** All paths below a folder. */
const below = (path: string) => IDBKeyRange.bound(`${path}/`, `${path}/\uffff`);

/** Changes the files in a transaction, and waits until that is on the disk. */
async function change(database: IDBDatabase, by: (files: IDBObjectStore) => void): Promise<void> {
  const transaction = database.transaction(FILES, 'readwrite', {durability: 'strict'});
  by(transaction.objectStore(FILES));
  await completed(transaction);
}

const read = (database: IDBDatabase): IDBObjectStore => database.transaction(FILES).objectStore(FILES);

/** Stores as records of a database: for browsers without a file system for pages, or that refuse it. */
export const inIndexedDB: PageStorage = {
  async open(path) {
    const database = await openDatabase();
    return {
      save: (name, bytes) => change(database, (files) => files.put(bytes, `${path}/${name}`)),
      load: (name) => done(read(database).get(`${path}/${name}`)),
      async list() {
        const paths = (await done(read(database).getAllKeys(below(path)))) as string[];
        return paths.map((file) => file.slice(path.length + 1)).filter((name) => !name.includes('/'));
      },
    };
  },
  async delete(path) {
    const database = await openDatabase();
    await change(database, (files) => files.delete(below(path)));
    database.close();
  },
};
