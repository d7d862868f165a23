import {rename, writeFile} from 'node:fs/promises';

/**
 * A function that replaces what a JSON file holds. The file is whole at every moment, and writes that are asked for at once
 * happen one after another: they share the name of the part that is renamed.
 */
export function jsonFile(path: string): (value: object) => Promise<void> {
  const part = `${path}.part`;
  let last = Promise.resolve();
  return (value) => {
    last = last.then(async () => {
      await writeFile(part, `${JSON.stringify(value, null, 2)}\n`);
      await rename(part, path);
    });
    return last;
  };
}
