/** Random numbers, one a call. */
export interface RandomStream {
  (): number;
  /** Where the stream is, an integer in [0, 2³²): set to what another was at, it goes on as that one would. */
  state: number;
}

/** Uniform random numbers in [0, 1) from a seed: mulberry32, enough for one draw a pass. */
export function randomStream(seed: number): RandomStream {
  const draw = () => {
    const state = (stream.state + 0x6d2b79f5) >>> 0;
    stream.state = state;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const stream: RandomStream = Object.assign(draw, {state: seed >>> 0});
  return stream;
}

/** 0 … size − 1 in an order of its own for each seed. */
export function shuffled(size: number, seed: number): Int32Array {
  const order = Int32Array.from({length: size}, (_, i) => i);
  const random = randomStream(seed);
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** A seed of its own for each name (FNV-1a), so that layers of one shape do not start from the same numbers. */
export function seedFor(name: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193);
  return hash >>> 0;
}

/** The lists that take down the seeds drawn, and what is handed out instead of new ones. */
const recordings: number[][] = [];
let replayed: Iterator<number> | undefined;

/**
 * Seeds from a seed, integers in [0, 2³²): what a layer draws in its forward pass. They can be recorded and replayed,
 * so that a pass that is computed again drops the same numbers.
 */
export function seedStream(seed: number): RandomStream {
  const random = randomStream(seed);
  const stream = () => {
    const value = replayed ? nextReplayed(replayed) : random() * 2 ** 32;
    for (const recording of recordings) recording.push(value);
    return value;
  };
  Object.defineProperty(stream, 'state', {
    get: () => random.state,
    set: (state: number) => {
      random.state = state;
    },
  });
  return stream as RandomStream;
}

function nextReplayed(seeds: Iterator<number>): number {
  const next = seeds.next();
  if (next.done) throw new Error('a pass that is computed again draws more random numbers than at first');
  return next.value;
}

/** Runs `run` and takes down the seeds it draws. May be nested. */
export function recordSeeds<T>(run: () => T): {result: T; seeds: number[]} {
  const seeds: number[] = [];
  recordings.push(seeds);
  try {
    return {result: run(), seeds};
  } finally {
    recordings.splice(recordings.indexOf(seeds), 1);
  }
}

/**
 * Runs `run` with the seeds of a run before; the streams stay where they are. May be nested and recorded.
 * @throws Error if it draws more.
 */
export function replaySeeds<T>(seeds: number[], run: () => T): T {
  const before = replayed;
  replayed = seeds.values();
  try {
    return run();
  } finally {
    replayed = before;
  }
}
