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

/** Something is wrong with a model's files; the message is one line that names the file. */
export class ModelError extends Error {
  override name = 'ModelError';
}

export type JsonObject = {[key: string]: unknown};

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Parses bytes that must hold a JSON object; `what` names them in the error. */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(bytes));
  } catch {
    throw new ModelError(`${what} is not valid JSON`);
  }
  if (!isObject(value)) throw new ModelError(`${what} does not hold a JSON object`);
  return value;
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
