import type {CheckpointStore} from '../../../src/index.ts';
import type {Method} from '../protocol.ts';
import {DEFAULT_SETTINGS, type Settings} from '../settings.ts';
import {deleteStore, openStore} from '../storage/storage.ts';

/** All that a run begins from, so that it can go on after the page was closed or the GPU lost. */
export interface SavedRun {
  /** The name of the model that it is of. */
  model: string;
  textName: string;
  text: Uint8Array<ArrayBuffer>;
  settings: Settings;
}

const ROOT = 'run';
const [RUN, TEXT] = ['run.json', 'text'];

/** The last run that is not done, in the browser's storage. */
export class RunStore {
  /** Begins another run: what was saved of the last one is deleted. */
  async begin({text, ...run}: SavedRun): Promise<void> {
    await deleteStore(ROOT);
    const store = await openStore(ROOT);
    await store.save(TEXT, text);
    // last: with it there is a run
    await store.save(RUN, new TextEncoder().encode(JSON.stringify(run)));
  }

  async load(): Promise<SavedRun | undefined> {
    const store = await openStore(ROOT);
    const [json, text] = [await store.load(RUN), await store.load(TEXT)];
    if (!json || !text) return undefined;
    const run = JSON.parse(new TextDecoder().decode(json)) as Omit<SavedRun, 'text'>;
    // a page of another version may have saved it
    const settings = {...DEFAULT_SETTINGS, ...run.settings};
    return {...run, settings, text: Uint8Array.from(text)};
  }

  checkpoints(method: Method): Promise<CheckpointStore> {
    return openStore(`${ROOT}/${method}`);
  }

  delete(): Promise<void> {
    return deleteStore(ROOT);
  }
}
