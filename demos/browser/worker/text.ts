import {FileError} from '../../../src/index.ts';
import {parseTextData, type TextData} from '../../llama/text_data.ts';
import type {LlamaTokenizer} from '../../llama/tokenizer.ts';
import type {TextSource} from '../protocol.ts';

/** Fetched when it is wanted: it is as large as the page. */
async function builtIn(page: string): Promise<Uint8Array> {
  const response = await fetch(new URL('moby-dick.txt', page));
  if (!response.ok) throw new FileError(`${response.url} cannot be read (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

async function contentOf(source: TextSource, page: string): Promise<[name: string, bytes: Uint8Array]> {
  switch (source.kind) {
    case 'built-in':
      return ['moby-dick.txt', await builtIn(page)];
    case 'typed':
      return ['what was typed.txt', new TextEncoder().encode(source.text)];
    case 'file':
      return [source.file.name, new Uint8Array(await source.file.arrayBuffer())];
  }
}

/** @throws FileError for what is no text, or too little. */
export async function readText(
  source: TextSource,
  tokenizer: LlamaTokenizer,
  page: string,
): Promise<TextData> {
  return parseTextData(...(await contentOf(source, page)))(tokenizer);
}
