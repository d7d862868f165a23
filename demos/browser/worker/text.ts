import {FileError} from '../../../src/index.ts';
import type {TextSource} from '../protocol.ts';

/** Fetched when it is wanted: it is as large as the page. */
async function builtIn(page: string): Promise<Response> {
  const response = await fetch(new URL('moby-dick.txt', page));
  if (response.ok) return response;
  throw new FileError(`${response.url} cannot be read (${response.status})`);
}

/** A text's name and bytes. @param page The address of the page, beside which the built-in text lies. */
export async function readText(
  source: TextSource,
  page: string,
): Promise<{textName: string; text: Uint8Array<ArrayBuffer>}> {
  switch (source.kind) {
    case 'built-in':
      return {textName: 'moby-dick.txt', text: new Uint8Array(await (await builtIn(page)).arrayBuffer())};
    case 'typed':
      return {textName: 'typed.txt', text: new TextEncoder().encode(source.text)};
    case 'file':
      return {textName: source.file.name, text: new Uint8Array(await source.file.arrayBuffer())};
  }
}
