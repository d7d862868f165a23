import type {JsonObject} from '../llama/files.ts';
import {BYTE_CHARACTERS, type Pair} from './byte_pairs.ts';

/** What begins a text, and what ends it; their ids are 0 and 1, those of the bytes 2 to 257, then merges follow. */
export const [BOS, EOS] = ['<s>', '</s>'] as const;

/** Tokens of a tokenizer with so many merges. */
export const vocabSize = (merges: number): number => 2 + 256 + merges;

/**
 * A byte-level BPE tokenizer as tokenizer.json and tokenizer_config.json of Hugging Face: any bytes of UTF-8 are tokens,
 * and decode to themselves.
 */
export function tokenizerFiles(merges: readonly Pair[]): Record<string, JsonObject> {
  const special = [BOS, EOS];
  const byteLevel = {type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true};
  const tokens = [...special, ...BYTE_CHARACTERS, ...merges.map((pair) => pair.join(''))];
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  const settings = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: BOS,
    eos_token: EOS,
    clean_up_tokenization_spaces: false,
  };
  return {'tokenizer.json': json, 'tokenizer_config.json': settings};
}
