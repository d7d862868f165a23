import {readFile} from 'node:fs/promises';
import {FileError} from '../../src/index.ts';
import {type ChatTokenizer, parseTextData, type TextData} from '../llama/text_data.ts';
import {UserError} from './user_error.ts';

/** Says of what is wrong with the data that it is: `--data: …`. */
export function ofData<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof FileError ? new UserError(`--data: ${error.message}`) : error;
  }
}

/**
 * Reads a .txt or .jsonl file, so that a bad path is known before a model is read; what it returns makes texts of it.
 * @param template Of the rows of a .jsonl; by default the fields that they have decide.
 * @throws UserError naming the file, and the line that is wrong.
 */
export async function readTextData(
  path: string,
  template?: string,
): Promise<(tokenizer: ChatTokenizer) => TextData> {
  if (!/\.(txt|jsonl)$/i.test(path)) throw new UserError(`--data: '${path}' is neither .txt nor .jsonl`);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UserError(`--data: cannot read '${path}' (${(error as NodeJS.ErrnoException).code})`);
  }
  const read = ofData(() => parseTextData(path, bytes, template));
  return (tokenizer) => ofData(() => read(tokenizer));
}
