import {ModelError, type ModelFiles} from '../../llama/files.ts';

const NAMES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'];

/** Downloads the files of a model whose weights are in one file. @param base Ends in a slash. */
export async function download(
  base: string,
  onProgress: (loaded: number, total: number) => void,
): Promise<ModelFiles> {
  const responses = await Promise.all(NAMES.map((name) => fetch(new URL(name, base))));
  const total = responses.reduce((sum, {headers}) => sum + Number(headers.get('content-length') ?? 0), 0);
  let loaded = 0;
  const contents = new Map<string, Blob>();
  for (const [i, response] of responses.entries()) {
    if (!response.ok) throw new ModelError(`${response.url} cannot be read (${response.status})`);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    const reader = response.body!.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      loaded += part.value.length;
      onProgress(loaded, total);
    }
    contents.set(NAMES[i]!, new Blob(parts));
  }
  return {
    size: async (name) => contents.get(name)?.size,
    read: async (name, start, end) =>
      new Uint8Array(await contents.get(name)!.slice(start, end).arrayBuffer()),
  };
}
