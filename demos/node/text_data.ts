import {readFile} from 'node:fs/promises';
import {extname} from 'node:path';
import {isObject} from '../llama/files.ts';
import type {LlamaTokenizer} from '../llama/tokenizer.ts';
import {UserError} from './user_error.ts';

/** Token streams to train on and to hold out. */
export interface TextData {
  train: Int32Array;
  heldOut: Int32Array;
  /** The beginning of something held out, for the model to continue. */
  prompt: string;
}

/** The last tenth is held out. */
const TRAIN_SHARE = 0.9;

async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UserError(`--data: cannot read '${path}' (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(bytes);
  } catch {
    throw new UserError(`--data: '${path}' is not UTF-8 text`);
  }
}

interface Example {
  prompt: string;
  text: string;
}

function example(line: string, where: string): Example {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    throw new UserError(`--data: ${where} is not JSON`);
  }
  const field = (name: string) => {
    const value = isObject(row) ? row[name] : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const [text, question, answer] = [field('text'), field('question'), field('answer')];
  const [prompt, completion] = [field('prompt'), field('completion')];
  if (text !== undefined) return {prompt: text.slice(0, 60), text};
  if (question !== undefined && answer !== undefined) {
    const asked = `Question: ${question}\nAnswer:`;
    return {prompt: asked, text: `${asked} ${answer}\n\n`};
  }
  if (prompt !== undefined && completion !== undefined) {
    return {prompt: prompt || completion.slice(0, 60), text: prompt + completion};
  }
  throw new UserError(
    `--data: ${where} has neither text, nor question and answer, nor prompt and completion`,
  );
}

function fromJsonLines(content: string, path: string, tokenizer: LlamaTokenizer): TextData {
  const examples = content
    .split('\n')
    .map((line, i): [string, number] => [line.trim(), i + 1])
    .filter(([line]) => line !== '')
    .map(([line, number]) => example(line, `line ${number} of '${path}'`))
    .filter(({text}) => text !== ''); // as in data sets that keep their source's blank lines
  if (examples.length < 2)
    throw new UserError(`--data: '${path}' has ${examples.length} examples; two are the least`);
  const cut = Math.min(examples.length - 1, Math.max(1, Math.floor(examples.length * TRAIN_SHARE)));
  const tokens = (list: Example[]) =>
    Int32Array.from(list.flatMap(({text}) => tokenizer.encode(text, {bos: true})));
  return {
    train: tokens(examples.slice(0, cut)),
    heldOut: tokens(examples.slice(cut)),
    prompt: examples[cut]!.prompt,
  };
}

function fromPlainText(content: string, tokenizer: LlamaTokenizer): TextData {
  const cut = Math.floor(content.length * TRAIN_SHARE);
  const heldOut = content.slice(cut);
  return {
    train: Int32Array.from(tokenizer.encode(content.slice(0, cut))),
    heldOut: Int32Array.from(tokenizer.encode(heldOut)),
    prompt: heldOut.slice(0, 60),
  };
}

/**
 * Reads a .txt or .jsonl file, so that a bad path is known before a model is read; what it returns tokenizes it.
 * @throws UserError naming the file, and the line that is wrong.
 */
export async function readTextData(path: string): Promise<(tokenizer: LlamaTokenizer) => TextData> {
  const kind = extname(path).toLowerCase();
  if (kind !== '.txt' && kind !== '.jsonl')
    throw new UserError(`--data: '${path}' is neither .txt nor .jsonl`);
  const content = await readText(path);
  if (content.trim() === '') throw new UserError(`--data: '${path}' is empty`);
  return (tokenizer) =>
    kind === '.txt' ? fromPlainText(content, tokenizer) : fromJsonLines(content, path, tokenizer);
}
