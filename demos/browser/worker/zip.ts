import {unzipSync, zipSync} from 'fflate';
import {FileError} from '../../../src/index.ts';

type Files = Record<string, Uint8Array<ArrayBuffer>>;

/** Files in a .zip, in a folder of its name; weights do not get smaller by compressing. */
export function zipOf(folder: string, files: Files): Blob {
  const inside = Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes] as const);
  const bytes = zipSync(Object.fromEntries(inside), {level: 0});
  return new Blob([Uint8Array.from(bytes)], {type: 'application/zip'});
}

/** What was chosen, out of its .zip if it is one; folders in there do not matter. @throws FileError */
export async function unzipped(chosen: readonly File[]): Promise<Files> {
  const files: Files = {};
  for (const file of chosen) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    let inside: Record<string, Uint8Array> = {[file.name]: bytes};
    if (/\.zip$/i.test(file.name)) {
      try {
        inside = unzipSync(bytes);
      } catch (error) {
        throw new FileError(`'${file.name}' is no .zip (${(error as Error).message})`);
      }
    }
    for (const [path, content] of Object.entries(inside)) {
      if (path.endsWith('/')) continue;
      files[path.split('/').at(-1)!] = Uint8Array.from(content);
    }
  }
  return files;
}
