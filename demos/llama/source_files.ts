import {ModelError, type ModelFiles} from './files.ts';

/** Bytes of a blob. @throws ModelError if they are not all there. */
export async function readBlob(name: string, blob: Blob, start = 0, end = blob.size): Promise<Uint8Array> {
  if (end > blob.size) throw new ModelError(`${name} ends at byte ${blob.size}, before ${end}`);
  const bytes = await blob
    .slice(start, end)
    .arrayBuffer()
    .catch(() => {
      throw new ModelError(`${name} cannot be read any more: it was changed or removed since it was chosen`);
    });
  return new Uint8Array(bytes);
}

/** Where a file lies in the folder that was chosen; '' for one that was chosen alone. */
const folderOf = ({webkitRelativePath: path}: File): string => path.slice(0, path.lastIndexOf('/') + 1);

/**
 * Of files that a person picked or dropped, those of the folder with a config.json that is nearest to the top: models come with
 * others, for other programs, in folders below. All of them if there is none.
 */
export function modelFolderFiles(files: readonly File[]): File[] {
  const depth = (folder: string) => folder.split('/').length;
  const folders = files.filter(({name}) => name === 'config.json').map(folderOf);
  const [folder] = folders.sort((a, b) => depth(a) - depth(b));
  return folder === undefined ? [...files] : files.filter((file) => folderOf(file) === folder);
}

/**
 * A model's files among those that a person picked or dropped: the files themselves or a folder of them. Each is read where
 * it lies, never as a whole.
 * @throws ModelError if no config.json is among them, or two files of one name.
 */
export function pickedFiles(files: readonly File[]): ModelFiles {
  const byName = new Map<string, File>();
  for (const file of modelFolderFiles(files)) {
    if (byName.has(file.name)) throw new ModelError(`${file.name} is there twice`);
    byName.set(file.name, file);
  }
  if (!byName.has('config.json')) {
    const names = files.slice(0, 5).map(({name}) => name);
    const given = `${names.join(', ') || 'nothing'}${files.length > names.length ? ', …' : ''}`;
    throw new ModelError(
      `config.json is missing: a model is a folder with config.json, but this is ${given}`,
    );
  }
  return {
    size: async (name) => byName.get(name)?.size,
    read(name, start, end) {
      const file = byName.get(name);
      if (file === undefined) throw new ModelError(`${name} is missing from the model's files`);
      return readBlob(name, file, start, end);
    },
  };
}
