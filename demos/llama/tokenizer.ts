import {Tokenizer} from '@huggingface/tokenizers';
import type {RenderChat} from '../../src/index.ts';
import {chatRenderer} from './chat_template.ts';
import type {LlamaConfig} from './config.ts';
import {isObject, type JsonObject, ModelError, type ModelFiles, readJson} from './files.ts';

/** A model's tokenizer. */
export interface LlamaTokenizer {
  /** The token that begins a text, if the model has one. */
  readonly bosId?: number;
  /** Tokens that end a text; may be empty. */
  readonly eosIds: readonly number[];
  /** The model's chat template, if it has one. */
  readonly renderChat?: RenderChat;
  /** Ids of a text, without special tokens unless `bos` asks for the beginning one (if there is one). */
  encode(text: string, options?: {bos?: boolean}): number[];
  /** The text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
}

/**
 * The token under `key` of tokenizer_config.json; null: it says that there is none; undefined: it says
 * nothing.
 */
function namedToken(json: JsonObject, key: string, tokenizer: Tokenizer): number | null | undefined {
  const value = json[key];
  if (value === undefined) return undefined;
  const content = isObject(value) ? value.content : value;
  if (content === null) return null;
  const id = typeof content === 'string' ? tokenizer.token_to_id(content) : undefined;
  if (id === undefined) {
    throw new ModelError(
      `tokenizer_config.json: ${key} ${JSON.stringify(value)} is not a token of tokenizer.json`,
    );
  }
  return id;
}

/**
 * Reads tokenizer.json, and tokenizer_config.json where there is one; what the latter does not say of the
 * beginning and ending tokens, config.json does.
 */
export async function loadTokenizer(files: ModelFiles, config: LlamaConfig): Promise<LlamaTokenizer> {
  const json = await readJson(files, 'tokenizer.json');
  const settings = (await readJson(files, 'tokenizer_config.json', true)) ?? {};
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(json, settings);
  } catch (error) {
    throw new ModelError(`tokenizer.json is not understood (${(error as Error).message})`);
  }
  let top = -1;
  for (const id of tokenizer.get_vocab(true).values()) top = Math.max(top, id);
  if (top >= config.vocabSize) {
    throw new ModelError(
      `tokenizer.json has token id ${top} but config.json's vocab_size is ${config.vocabSize}`,
    );
  }

  const named = namedToken(settings, 'bos_token', tokenizer);
  const bosId = named === undefined ? config.bosId : (named ?? undefined);
  const eosId = namedToken(settings, 'eos_token', tokenizer);
  const renderChat = chatRenderer(settings);
  return {
    ...(bosId === undefined ? {} : {bosId}),
    ...(renderChat ? {renderChat} : {}),
    eosIds: [...new Set([...config.eosIds, ...(eosId == null ? [] : [eosId])])],
    encode(text, {bos = false} = {}) {
      const ids = text === '' ? [] : tokenizer.encode(text, {add_special_tokens: false}).ids;
      return bos && bosId !== undefined ? [bosId, ...ids] : ids;
    },
    // The library's own decode refuses an empty list.
    decode: (ids) => (ids.length === 0 ? '' : tokenizer.decode([...ids], {skip_special_tokens: true})),
  };
}
