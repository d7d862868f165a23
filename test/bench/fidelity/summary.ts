import {formatTable} from '../../../src/model/table.ts';
import type {Result, Run, Timing} from './entries.ts';
import {exactName} from './rows.ts';

/** One configuration on one data set. */
export interface Summary {
  data: string;
  row: string;
  seeds: number;
  /** As a fraction of exact LoRA's at the full batch. */
  cost: number;
  /** Mean of the seeds, and half their range. */
  loss: number;
  spread: number;
  /** Of a step; absent where it was not timed. */
  milliseconds: number | undefined;
  /** Held-out loss of exact LoRA at this cost, and at these milliseconds, between those of its batches; absent outside. */
  atEqualCost: number | undefined;
  atEqualTime: number | undefined;
}

type Point = [x: number, y: number];

/** The height of a line through points at x; undefined outside of them. */
function between(points: readonly Point[], x: number): number | undefined {
  const sorted = points.toSorted(([a], [b]) => a - b);
  for (const [i, [right, high]] of sorted.entries()) {
    if (x > right) continue;
    if (x === right) return high;
    const before = sorted[i - 1];
    return before && before[1] + ((high - before[1]) * (x - before[0])) / (right - before[0]);
  }
  return undefined;
}

/** Groups by a name, in the order of their first members. */
function groupBy<T>(items: readonly T[], nameOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group) group.push(item);
    else groups.set(nameOf(item), [item]);
  }
  return [...groups.values()];
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Whether a configuration is exact LoRA, at whatever batch. */
export const isExact = ({row}: {row: string}): boolean => row.startsWith(exactName(''));

/** Sums up the runs, in their order, with the times of those that were timed. */
export function summarise(results: readonly Result[]): Summary[] {
  const runs = results.filter((result): result is Run => result.kind === 'run');
  const times = results.filter((result): result is Timing => result.kind === 'time');
  const rows = groupBy(runs, ({data, row}) => `${data}, ${row}`).map((group) => {
    const {data, row} = group[0]!;
    const losses = group.map(({loss}) => loss);
    return {
      ...{data, row, seeds: group.length, loss: mean(losses), cost: mean(group.map(({cost}) => cost))},
      spread: (Math.max(...losses) - Math.min(...losses)) / 2,
      // the shapes are the same on all data
      milliseconds: times.find((time) => time.row === row)?.milliseconds,
    };
  });
  return rows.map((summary) => {
    const exact = rows.filter((other) => isExact(other) && other.data === summary.data);
    const timed = exact.flatMap(({milliseconds, loss}): Point[] =>
      milliseconds === undefined ? [] : [[milliseconds, loss]],
    );
    return {
      ...summary,
      atEqualCost: between(
        exact.map(({cost, loss}) => [cost, loss]),
        summary.cost,
      ),
      atEqualTime: summary.milliseconds === undefined ? undefined : between(timed, summary.milliseconds),
    };
  });
}

const digits = (value: number | undefined, count: number) => value?.toFixed(count) ?? '';

/** The summaries as a table, those of each data set by their cost. */
export function fidelityTable(summaries: readonly Summary[]): string {
  const head = ['cost', 'held-out loss', '±', 'seeds', 'exact, equal cost', 'ms a step', 'exact, equal time'];
  const tables = groupBy(summaries, ({data}) => data).map((rows) =>
    formatTable([
      [rows[0]!.data, ...head],
      ...rows
        .toSorted((a, b) => b.cost - a.cost)
        .map((row) => [
          row.row,
          digits(row.cost, 3),
          digits(row.loss, 4),
          digits(row.spread, 4),
          row.seeds,
          digits(row.atEqualCost, 4),
          digits(row.milliseconds, 1),
          digits(row.atEqualTime, 4),
        ]),
    ]),
  );
  return tables.join('\n\n');
}
