import {isObject, type JsonObject, FileError as ModelError, parseJsonObject} from '../../src/files/json.ts';

export {isObject, type JsonObject, ModelError};

/** The files of one model, wherever they lie: a folder on disk, files picked in a browser, a server. */
export interface ModelFiles {
  /** Size of a file in bytes, or undefined if there is no such file. */
  size(name: string): Promise<number | undefined>;
  /**
   * The bytes from `start` (default 0) to `end` (exclusive; default the file's end); rejects if they are not
   * all there.
   */
  read(name: string, start?: number, end?: number): Promise<Uint8Array>;
}

/** Reads a JSON file; a missing one is an error unless `optional`, then it gives undefined. */
export async function readJson(files: ModelFiles, name: string): Promise<JsonObject>;
export async function readJson(
  files: ModelFiles,
  name: string,
  optional: true,
): Promise<JsonObject | undefined>;
export async function readJson(files: ModelFiles, name: string, optional = false) {
  if ((await files.size(name)) === undefined) {
    if (optional) return undefined;
    throw new ModelError(`${name} is missing from the model's files`);
  }
  return parseJsonObject(await files.read(name), name);
}
