export interface SuiteOptions {
  rounds: number;
  /** As given on the command line; undefined = the suite's own. */
  shapes: string[] | undefined;
  say: (text: string) => void;
}

/** Runs, prints its tables, and returns plain numbers for the JSON file. */
export type Suite = (options: SuiteOptions) => Promise<object[]>;

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const WARM_UP = 2;

/**
 * Median milliseconds of each candidate. They run in turn, round by round, so that what slows the machine for a while
 * slows them all; each ends when the device has finished.
 */
export async function sideBySide(candidates: Record<string, () => Promise<void>>, rounds: number) {
  const times: Record<string, number[]> = Object.fromEntries(
    Object.keys(candidates).map((name) => [name, []]),
  );
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const [name, run] of Object.entries(candidates)) {
      const start = performance.now();
      await run();
      if (round >= 0) times[name]!.push(performance.now() - start);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, list]) => [name, median(list)]));
}
