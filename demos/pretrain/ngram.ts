/** How often each n-gram of one order counts, and what is known of its contexts. */
interface Order {
  /** By the n-gram's bytes as one number. */
  counts: Map<number, number>;
  /** By the context, the n-gram without its last byte: the sum of its n-grams' counts, and how many n-grams they are. */
  contexts: Map<number, {total: number; kinds: number}>;
  /** D, taken from every count and given to the lower order. */
  discount: number;
}

/** The numbers of an n-gram's parts: the last byte is the lowest. A double holds 6 bytes exactly. */
const contextOf = (gram: number) => Math.floor(gram / 256);

/** The n-gram one byte on. */
const next = (gram: number, byte: number, order: number) => (gram % 256 ** (order - 1)) * 256 + byte;

function makeOrder(counts: Map<number, number>): Order {
  const contexts: Order['contexts'] = new Map();
  let [once, twice] = [0, 0];
  for (const [gram, count] of counts) {
    const context = contexts.get(contextOf(gram));
    if (context) {
      context.total += count;
      context.kinds++;
    } else contexts.set(contextOf(gram), {total: count, kinds: 1});
    if (count === 1) once++;
    if (count === 2) twice++;
  }
  // Ney, Essen and Kneser's estimate; a text too small for it gets a half
  const discount = once > 0 && twice > 0 ? once / (once + 2 * twice) : 0.5;
  return {counts, contexts, discount};
}

/**
 * A model of bytes by the n − 1 bytes before them, with interpolated Kneser-Ney smoothing (Chen and Goodman 1999,
 * section 2.7, one discount an order): the highest order counts occurrences, a lower one by how many different bytes an
 * n-gram is preceded, and below the lowest all 256 bytes are equally likely.
 */
export class ByteNgram {
  readonly order: number;
  /** Of n-grams of 1 byte, of 2, … */
  private readonly orders: Order[];

  /** @param order n, 1 to 6. */
  constructor(text: Uint8Array, order = 5) {
    if (!(Number.isInteger(order) && order >= 1 && order <= 6)) {
      throw new Error(`ByteNgram: order must be an integer from 1 to 6, but is ${order}`);
    }
    this.order = order;
    let counts = new Map<number, number>();
    let gram = 0;
    for (const [i, byte] of text.entries()) {
      gram = next(gram, byte, order);
      if (i >= order - 1) counts.set(gram, (counts.get(gram) ?? 0) + 1);
    }
    this.orders = [makeOrder(counts)];
    for (let n = order - 1; n >= 1; n--) {
      const lower = new Map<number, number>();
      for (const gram of counts.keys()) {
        const suffix = gram % 256 ** n;
        lower.set(suffix, (lower.get(suffix) ?? 0) + 1);
      }
      this.orders.unshift(makeOrder(lower));
      counts = lower;
    }
  }

  /** The probability of the last byte of an n-gram after the others. @param length Its bytes, 1 to `order`. */
  probability(gram: number, length: number): number {
    let probability = 1 / 256;
    for (let n = 1; n <= length; n++) {
      const {counts, contexts, discount} = this.orders[n - 1]!;
      const part = gram % 256 ** n;
      const context = contexts.get(contextOf(part));
      if (!context) break; // then no longer one was seen either
      const own = Math.max(0, (counts.get(part) ?? 0) - discount);
      probability = (own + discount * context.kinds * probability) / context.total;
    }
    return probability;
  }

  /** The mean −log₂ of the probabilities of a text's bytes; its first ones have shorter contexts. */
  bitsPerByte(text: Uint8Array): number {
    let bits = 0;
    let gram = 0;
    for (const [i, byte] of text.entries()) {
      gram = next(gram, byte, this.order);
      bits -= Math.log2(this.probability(gram, Math.min(i + 1, this.order)));
    }
    return bits / text.length;
  }
}
