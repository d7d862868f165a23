import {
  type BatchOptions,
  type BatchSource,
  checkBatchOptions,
  IGNORED_LABEL,
  rowPicker,
  type TokenBatch,
  type TokenRow,
  tokenBatch,
} from './batches.ts';
import type {TokenizedText} from './tokens.ts';

export interface ExampleBatchOptions extends BatchOptions {
  /**
   * Whether several short texts share a row; each then sees itself only, through `segments`, which the model's attention
   * must take. Without, a row is one text and padding on its right, which needs no segments. Default true.
   */
  pack?: boolean;
}

export interface ExampleBatches extends BatchSource<TokenBatch> {
  /** Rows in one pass. */
  readonly rows: number;
  /** Fraction of their places that hold a token. */
  readonly filled: number;
  /** Texts whose end was cut off, because they are longer than a row. */
  readonly truncated: number;
  /** Texts left out, because nothing in them is to be learned (any more). */
  readonly dropped: number;
}

/**
 * Puts texts into rows, the longest first, each into the row with the least room that takes it.
 * @param sizes Places that each text takes, at most `length`.
 * @returns The texts of each row.
 */
function fill(sizes: number[], length: number): number[][] {
  const rows: number[][] = [];
  // the rows by the places that are left in them
  const byRoom: number[][] = Array.from({length: length + 1}, () => []);
  const longestFirst = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]! || a - b);
  for (const text of longestFirst) {
    const size = sizes[text]!;
    let room = size;
    while (room <= length && byRoom[room]!.length === 0) room++;
    const row = room <= length ? byRoom[room]!.pop()! : rows.push([]) - 1;
    rows[row]!.push(text);
    byRoom[(room <= length ? room : length) - size]!.push(row);
  }
  return rows;
}

/** Lays texts into one row: each takes a place less than it has tokens, its last token being a label only. */
function layOut(texts: TokenizedText[], length: number): Required<TokenRow> {
  const row = {
    ids: new Int32Array(length),
    labels: new Int32Array(length).fill(IGNORED_LABEL),
    segments: new Int32Array(length),
  };
  let at = 0;
  for (const [i, {ids, learn}] of texts.entries()) {
    for (let token = 0; token + 1 < ids.length; token++, at++) {
      row.ids[at] = ids[token]!;
      if (learn[token + 1]) row.labels[at] = ids[token + 1]!;
      row.segments[at] = i + 1;
    }
  }
  return row;
}

/**
 * Batches of many texts, such as the examples of a .jsonl file: only what is to be learned has labels, texts do not see one
 * another, and rows are filled well (best fit, the longest first).
 * @param texts From `tokenize`.
 * @throws Error for a bad option, and if there is nothing to learn.
 */
export function exampleBatches(
  texts: readonly TokenizedText[],
  options: ExampleBatchOptions,
): ExampleBatches {
  const owner = 'exampleBatches';
  checkBatchOptions(owner, options);
  const {length, batchSize, pack = true} = options;
  let truncated = 0;
  const fitting: TokenizedText[] = [];
  for (const {ids, learn} of texts) {
    const cut = {ids: ids.slice(0, length + 1), learn: learn.slice(0, length + 1)};
    if (!cut.learn.includes(true, 1)) continue;
    if (cut.ids.length < ids.length) truncated++;
    fitting.push(cut);
  }
  if (fitting.length === 0) throw new Error(`${owner}: none of ${texts.length} texts has a token to learn`);
  const sizes = fitting.map(({ids}) => ids.length - 1);
  const rows = pack ? fill(sizes, length) : fitting.map((_, i) => [i]);
  const pick = rowPicker(rows.length, options);
  return {
    count: Math.ceil(rows.length / batchSize),
    rows: rows.length,
    filled: sizes.reduce((sum, size) => sum + size, 0) / (rows.length * length),
    truncated,
    dropped: texts.length - fitting.length,
    batch(index) {
      const chosen = pick(index).map((row) =>
        layOut(
          rows[row]!.map((text) => fitting[text]!),
          length,
        ),
      );
      return tokenBatch(pack ? chosen : chosen.map(({ids, labels}) => ({ids, labels})));
    },
  };
}
