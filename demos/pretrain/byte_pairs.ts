/** The words that GPT-2's pre-tokenizer cuts a text into, as `ByteLevel` with `use_regex` does: tokens end with them. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** The character that stands for each byte in a byte-level vocabulary: itself where it is printed, else one from 256 on. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  const isPrinted = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  return Array.from({length: 256}, (_, byte) => String.fromCodePoint(isPrinted(byte) ? byte : next++));
})();

/** Two tokens that follow each other, by their characters. */
export type Pair = [left: string, right: string];

interface Word {
  tokens: string[];
  count: number;
}

function wordsOf(texts: readonly string[]): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({
    tokens: Array.from(encoder.encode(word), (byte) => BYTE_CHARACTERS[byte]!),
    count,
  }));
}

function merge(tokens: string[], [left, right]: Pair): string[] {
  const merged: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const isPair = tokens[i] === left && tokens[i + 1] === right;
    merged.push(isPair ? left + right : tokens[i]!);
    if (isPair) i++;
  }
  return merged;
}

/** How often pairs occur, and in which words. */
class PairCounts {
  private readonly counts = new Map<string, number>();
  private readonly words = new Map<string, Set<Word>>();

  /** @param sign -1 takes the word out. */
  count(word: Word, sign: 1 | -1): void {
    for (let i = 1; i < word.tokens.length; i++) {
      // no byte is written as a space
      const pair = `${word.tokens[i - 1]} ${word.tokens[i]}`;
      this.counts.set(pair, (this.counts.get(pair) ?? 0) + sign * word.count);
      if (!this.words.has(pair)) this.words.set(pair, new Set());
      this.words.get(pair)!.add(word);
    }
  }

  /** The most frequent pair, of equals the first by its characters; undefined if none occurs twice. */
  best(): Pair | undefined {
    let [best, most] = ['', 1];
    for (const [pair, count] of this.counts) {
      if (count > most || (count === most && most > 1 && pair < best)) [best, most] = [pair, count];
    }
    return most > 1 ? (best.split(' ') as Pair) : undefined;
  }

  /** Words in which the pair was at some time; they are not looked for again. */
  take(pair: Pair): Set<Word> {
    const words = this.words.get(pair.join(' '))!;
    this.words.delete(pair.join(' '));
    return words;
  }
}

/**
 * Byte-pair encoding (Sennrich et al., arXiv 1508.07909) over bytes: joins the most frequent pair of tokens inside words
 * into one, again and again.
 * @param size How many pairs to join; fewer where no pair occurs twice.
 * @returns The pairs in their order.
 */
export function learnMerges(texts: readonly string[], size: number): Pair[] {
  const words = wordsOf(texts);
  const pairs = new PairCounts();
  for (const word of words) pairs.count(word, 1);
  const merges: Pair[] = [];
  while (merges.length < size) {
    const pair = pairs.best();
    if (!pair) break;
    for (const word of pairs.take(pair)) {
      pairs.count(word, -1);
      word.tokens = merge(word.tokens, pair);
      pairs.count(word, 1);
    }
    merges.push(pair);
  }
  return merges;
}
