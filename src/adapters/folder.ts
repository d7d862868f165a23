import {mkdir, readFile, rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {show} from '../config.ts';
import {FileError} from '../files/json.ts';
import {type AdapterFiles, CONFIG_FILE, WEIGHTS_FILE} from './modules.ts';

/**
 * Writes the files of an adapter into a folder, which is made if it is not there; each is there whole or not at all.
 * @throws Error if they cannot be written, or for a name that leads out of the folder.
 */
export async function writeAdapter(folder: string, files: Record<string, Uint8Array>): Promise<void> {
  const bad = Object.keys(files).find((name) => !/^[^/\\]*[^./\\][^/\\]*$/.test(name));
  if (bad !== undefined) throw new Error(`writeAdapter: ${show(bad)} is no name of a file`);
  await mkdir(folder, {recursive: true});
  const paths = Object.keys(files).map((name) => join(folder, name));
  for (const [i, bytes] of Object.values(files).entries()) await writeFile(`${paths[i]}.part`, bytes);
  for (const path of paths) await rename(`${path}.part`, path);
}

/**
 * Reads what `loadAdapter` needs from a folder: adapter_config.json and adapter_model.safetensors.
 * @throws FileError naming the file that cannot be read.
 */
export async function readAdapter(folder: string): Promise<AdapterFiles> {
  const read = async (name: string): Promise<[string, Uint8Array<ArrayBuffer>]> => {
    const path = join(folder, name);
    try {
      return [name, new Uint8Array(await readFile(path))];
    } catch (error) {
      throw new FileError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  };
  return Object.fromEntries(await Promise.all([CONFIG_FILE, WEIGHTS_FILE].map(read)));
}
