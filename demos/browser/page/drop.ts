const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));

/** The entries of a folder, of which a reader gives some at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return all;
    all.push(...some);
  }
}

/** The files in what was dropped, with their paths as those of a folder that is chosen have. */
async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isDirectory) {
    const inside = await entriesOf(entry as FileSystemDirectoryEntry);
    return (await Promise.all(inside.map(filesIn))).flat();
  }
  const file = await fileOf(entry as FileSystemFileEntry);
  const path = entry.fullPath.slice(1);
  return [path === file.name ? file : Object.defineProperty(file, 'webkitRelativePath', {value: path})];
}

/** Has files that are dropped beside where they belong do nothing: the browser would open them in the page's place. */
export function keepPage(): void {
  for (const type of ['dragover', 'drop']) addEventListener(type, (event) => event.preventDefault());
}

/** Takes files and folders that are dropped on an element, or those chosen by its input, unless that is disabled. */
export function onFiles(area: HTMLElement, take: (files: File[]) => void): void {
  const input = area.querySelector('input')!;
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    input.value = ''; // the same files can be chosen again
    if (files.length > 0) take(files);
  });
  area.addEventListener('dragover', () => area.classList.toggle('over', !input.disabled));
  area.addEventListener('dragleave', () => area.classList.remove('over'));
  area.addEventListener('drop', async (event) => {
    area.classList.remove('over');
    if (input.disabled) return;
    // to be asked for before anything is awaited
    const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry());
    const found = await Promise.all(entries.map((entry) => (entry === null ? [] : filesIn(entry))));
    if (found.flat().length > 0) take(found.flat());
  });
}
