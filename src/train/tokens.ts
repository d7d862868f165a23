import type {Example} from './examples.ts';

/** What is needed of a tokenizer. */
export interface TextTokenizer {
  /** Token ids of a text, without special tokens at its ends. */
  encode(text: string): readonly number[];
  /** Put before every text, if there is one. Leave it out where a chat template writes it. */
  bosId?: number | undefined;
  /** Put after every text, if there is one, and learned with its last part. */
  eosId?: number | undefined;
}

/** A text as tokens; `learn` says of each whether it is to be predicted. */
export interface TokenizedText {
  ids: number[];
  learn: boolean[];
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/**
 * Tokens of an example. The text is tokenized as a whole, as a model saw it; a part begins with the first token that the
 * text up to it, tokenized alone, does not have. So a token across the end of a prompt belongs to the completion.
 */
export function tokenize(example: Example, {encode, bosId, eosId}: TextTokenizer): TokenizedText {
  const text = example.map((part) => part.text).join('');
  const ids = text === '' ? [] : [...encode(text)];
  const learn: boolean[] = [];
  let end = '';
  for (const [i, part] of example.entries()) {
    end += part.text;
    const last = i === example.length - 1;
    const tokens = last ? ids.length : end === '' ? 0 : commonPrefix(encode(end), ids);
    while (learn.length < tokens) learn.push(part.learn);
  }
  if (bosId !== undefined) {
    ids.unshift(bosId);
    learn.unshift(false);
  }
  if (eosId !== undefined) {
    ids.push(eosId);
    learn.push(example.at(-1)?.learn ?? true);
  }
  return {ids, learn};
}
