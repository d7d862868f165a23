import type {CheckpointStore} from '../../../src/index.ts';

/** Keeps checkpoints until the page goes. */
export function memoryStore(): CheckpointStore {
  const files = new Map<string, Uint8Array>();
  return {
    save: async (name, bytes) => void files.set(name, bytes),
    load: async (name) => files.get(name),
    list: async () => [...files.keys()],
  };
}
