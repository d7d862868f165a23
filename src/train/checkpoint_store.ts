import {FileError} from '../files/json.ts';
import {decodeTensor, readMetadata, readSafetensors, writeSafetensors} from '../files/safetensors.ts';
import type {Manifest, TrainingState} from './training_state.ts';

/**
 * Where the states of a run are saved: a folder (`folderStore` of tfjs-celora/node), or in a browser the origin private file
 * system or IndexedDB. One store holds one run.
 */
export interface CheckpointStore {
  /** Saves bytes under a name, in the place of what was there. Done when it resolves. */
  save(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The bytes under a name, undefined if there are none. */
  load(name: string): Promise<Uint8Array | undefined>;
  /** All names. */
  list(): Promise<string[]>;
}

const FORMAT = 'tfjs-celora training state 1';

/** FNV-1a over words of 32 bits: tells of a file that was not written to its end, or has a page of zeros. */
function checksum(manifest: string, tensors: TrainingState['tensors']): string {
  let hash = 0x811c9dc5;
  const mix = (word: number) => {
    hash = Math.imul(hash ^ word, 0x01000193);
  };
  const shapes = Object.entries(tensors).map(([name, {shape}]) => [name, shape]);
  const text = manifest + JSON.stringify(shapes);
  for (let i = 0; i < text.length; i++) mix(text.charCodeAt(i));
  for (const {data} of Object.values(tensors)) {
    for (const word of new Int32Array(data.buffer, data.byteOffset, data.length)) mix(word);
  }
  return (hash >>> 0).toString(16);
}

/** @param generation How many states of the store are older. */
export function encodeState({manifest, tensors}: TrainingState, generation: number): Uint8Array<ArrayBuffer> {
  const json = JSON.stringify({...manifest, generation});
  const metadata = {format: FORMAT, manifest: json, checksum: checksum(json, tensors)};
  return writeSafetensors(tensors, metadata);
}

/** @throws FileError for a file that is not one of these, or not whole. */
export function decodeState(file: string, bytes: Uint8Array): TrainingState & {generation: number} {
  const {format, manifest: json = '', checksum: sum} = readMetadata(file, bytes);
  if (format !== FORMAT) throw new FileError(`${file} is no state of a training run that this version knows`);
  const tensors: TrainingState['tensors'] = {};
  for (const [name, entry] of readSafetensors(file, bytes)) {
    const data = decodeTensor(name, entry, bytes.subarray(entry.start, entry.end));
    tensors[name] = {shape: entry.shape, data};
  }
  if (checksum(json, tensors) !== sum) throw new FileError(`${file} is damaged`);
  const {generation, ...manifest} = JSON.parse(json) as Manifest & {generation: number};
  return {manifest, tensors, generation};
}

/** Two files in turn: while one is written, the other is whole, whatever the store does when it is interrupted. */
const NAMES = ['checkpoint-0.safetensors', 'checkpoint-1.safetensors'] as const;

/** The states of a run in its store: the last and the one before it. */
export class Checkpoints {
  private readonly store: CheckpointStore;
  /** The file of the last state, and how many states are older than it. */
  private last: {name: string; generation: number} | undefined;

  constructor(store: CheckpointStore) {
    this.store = store;
  }

  /**
   * The last state that is whole.
   * @returns undefined if the store has no states.
   * @throws FileError if it has, but none is whole.
   */
  async latest(): Promise<(TrainingState & {name: string}) | undefined> {
    const present = await this.store.list();
    const found: (TrainingState & {name: string; generation: number})[] = [];
    let problem: unknown;
    for (const name of NAMES) {
      if (!present.includes(name)) continue;
      const bytes = await this.store.load(name);
      if (!bytes) continue;
      try {
        found.push({name, ...decodeState(name, bytes)});
      } catch (error) {
        problem = error;
      }
    }
    const [newest] = found.sort((a, b) => b.generation - a.generation);
    this.last = newest;
    if (!newest && problem !== undefined) throw problem;
    return newest;
  }

  /** Saves a state in the place of the older of the two. Call `latest` before the first. @returns Its name. */
  async save(state: TrainingState): Promise<string> {
    const name = NAMES.find((one) => one !== this.last?.name)!;
    const generation = (this.last?.generation ?? -1) + 1;
    await this.store.save(name, encodeState(state, generation));
    this.last = {name, generation};
    return name;
  }
}
