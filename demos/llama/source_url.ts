import {isObject, ModelError, type ModelFiles, readJson} from './files.ts';
import {ask, fetchFile} from './resumable_fetch.ts';
import {readBlob} from './source_files.ts';

export interface UrlOptions {
  signal?: AbortSignal;
  /** Called with the bytes that are there and those of all of the model's files, as far as the server says their sizes. */
  onProgress?: (loadedBytes: number, totalBytes: number) => void;
}

const INDEX = 'model.safetensors.index.json';
const NAMES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors', INDEX];

/** Pages of a model on Hugging Face's hub, or one of its mirrors: /owner/name, perhaps /tree/revision. */
const HUB_PAGE = /^\/([\w.-]+\/[\w.-]+)(?:\/tree\/([^/]+))?\/?$/;
const HUBS = ['huggingface.co', 'hf.co', 'hf-mirror.com'];

/**
 * The address that a model's files lie under, with a slash at its end: of a page of a model on a hub, its files; else what was
 * given.
 * @throws ModelError for what is no http or https address.
 */
export function filesAddress(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw new ModelError(`${url} is no address of a model: one is https://huggingface.co/owner/name`);
  }
  const {origin, host, pathname} = parsed;
  const [, model, revision = 'main'] = (HUBS.includes(host) && HUB_PAGE.exec(pathname)) || [];
  if (model !== undefined) return `${origin}/${model}/resolve/${revision}/`;
  return `${origin}${pathname.replace(/\/(config\.json)?$/, '')}/`;
}

/** The size of a file as the server says it, in bytes; 0 if it does not; undefined if there is no such file. */
async function announcedSize(url: string, signal: AbortSignal | undefined): Promise<number | undefined> {
  const {ok, status, headers} = await ask(url, {method: 'HEAD', signal});
  if (status === 404) return undefined;
  // many servers answer with a page of theirs where there is no such file
  if (headers.get('content-type')?.startsWith('text/html')) return undefined;
  // an error is told of by the download, and the size of what is compressed on its way is another one
  return ok && !headers.has('content-encoding') ? Number(headers.get('content-length') ?? 0) : 0;
}

/** The names of the shards that an index lists; what is wrong with it shows when the checkpoint is read. */
async function shardsOf(files: ModelFiles): Promise<string[]> {
  const {weight_map: map} = await readJson(files, INDEX);
  const names = isObject(map) ? Object.values(map) : [];
  return [...new Set(names.filter((name) => typeof name === 'string'))];
}

/**
 * A model's files at an address: those of a Hugging Face folder on any server, or the page of a model on its hub. Every file is
 * downloaded once, when it is first asked for, and kept while the result is; a broken download is taken up again where it broke.
 * @throws ModelError naming the address and what is wrong; the signal's reason if it is aborted.
 */
export async function modelAtUrl(url: string, {signal, onProgress}: UrlOptions = {}): Promise<ModelFiles> {
  const base = filesAddress(url);
  const at = (name: string) => new URL(encodeURIComponent(name), base).href;
  const sizes = new Map<string, number | undefined>();
  const announce = async (names: readonly string[]): Promise<void> => {
    const found = await Promise.all(names.map((name) => announcedSize(at(name), signal)));
    for (const [i, name] of names.entries()) sizes.set(name, found[i]);
  };
  const loaded = new Map<string, number>();
  const report = () => {
    const sum = (numbers: Iterable<number | undefined>) =>
      [...numbers].reduce<number>((a, b) => a + (b ?? 0), 0);
    onProgress?.(sum(loaded.values()), sum(sizes.values()));
  };
  const contents = new Map<string, Promise<Blob>>();
  const download = (name: string): Promise<Blob> => {
    const known = contents.get(name);
    if (known !== undefined) return known;
    const onBytes = (bytes: number) => {
      loaded.set(name, bytes);
      sizes.set(name, Math.max(bytes, sizes.get(name) ?? 0));
      report();
    };
    const content = fetchFile(at(name), {...(signal ? {signal} : {}), onBytes});
    contents.set(name, content);
    return content;
  };
  const files: ModelFiles = {
    async size(name) {
      if (!sizes.has(name)) await announce([name]);
      return sizes.get(name) === undefined ? undefined : (await download(name)).size;
    },
    read: async (name, start, end) => readBlob(name, await download(name), start, end),
  };

  await announce(NAMES);
  if (sizes.get('config.json') === undefined) {
    throw new ModelError(`${at('config.json')}: there is no such file, so this is no address of a model`);
  }
  if (sizes.get('model.safetensors') === undefined && sizes.get(INDEX) !== undefined) {
    await announce(await shardsOf(files));
  } else {
    sizes.delete(INDEX); // of a checkpoint in one file nothing else is read
  }
  return files;
}
