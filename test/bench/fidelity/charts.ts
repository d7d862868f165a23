import {writeFile} from 'node:fs/promises';
import * as Plot from '@observablehq/plot';
import {parseHTML} from 'linkedom';
import {BATCH, DEFAULT_ROW, exactName} from './rows.ts';
import {isExact, type Summary} from './summary.ts';

/** What a configuration is drawn as, by its name. */
const FAMILIES: [family: string, names: RegExp, colour: string][] = [
  ['exact LoRA, smaller batches', /^exact LoRA, batch/, '#1d4ed8'],
  ['columns', /^(uniform|calibrated)/, '#c2410c'],
  ['the authors’ configuration', /^paper/, '#7c3aed'],
  ['tokens', /^(rows|tokens)/, '#15803d'],
  ['others', /./, '#666666'],
];

const familyOf = (row: string) => FAMILIES.find(([, names]) => names.test(row))![0];

/** Height of a line of the list. */
const LINE = 15;

/** Percents that are named beside the axis, of those that it has. */
const TICKS = [-1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32];

interface Axis {
  /** Of the file's name. */
  name: string;
  label: string;
  of: (summary: Summary) => number | undefined;
}

const AXES: Axis[] = [
  {name: 'cost', label: 'multiply-adds of a step, exact LoRA = 1 →', of: ({cost}) => cost},
  {name: 'time', label: 'milliseconds of a step →', of: ({milliseconds}) => milliseconds},
];

/** How much a loss is above that of exact LoRA at the full batch, on the same data, in percent. */
function above(summaries: readonly Summary[], {data, loss}: Summary): number | undefined {
  const exact = summaries.find((other) => other.data === data && other.row === exactName(BATCH));
  return exact && 100 * (loss / exact.loss - 1);
}

/**
 * Held-out loss, above that of exact LoRA, against an axis, as an SVG document: one panel a data set, numbers in place of names,
 * and a list of them. Undefined without points.
 */
export function fidelityChart(summaries: readonly Summary[], {label, of}: Axis): string | undefined {
  // as in the table
  const names = [...new Set(summaries.toSorted((a, b) => b.cost - a.cost).map(({row}) => row))];
  const points = summaries.flatMap((summary) => {
    const [x, y] = [of(summary), above(summaries, summary)];
    if (x === undefined || y === undefined) return [];
    const half = (100 * summary.spread * (1 + y / 100)) / summary.loss;
    const number = 1 + names.indexOf(summary.row);
    return [{...summary, x, y, low: y - half, high: y + half, number, family: familyOf(summary.row)}];
  });
  // panels stand in this order
  const last = points
    .map(({data}) => data)
    .sort()
    .at(-1);
  if (last === undefined) return undefined;
  const highest = Math.max(...points.map(({high}) => high));
  const lowest = Math.min(...points.map(({low}) => low));
  const {document} = parseHTML('<html><body></body></html>');
  const at = {x: 'x', y: 'y', fx: 'data'} as const;
  const svg = Plot.plot({
    document,
    width: 1140,
    height: Math.max(420, 80 + LINE * names.length),
    marginTop: 40,
    marginBottom: 44,
    marginRight: 370,
    style: {background: 'white', color: 'black', fontSize: '12px'},
    x: {label, labelAnchor: 'left', inset: 16, grid: true},
    // most is within a few percent
    y: {
      ...{type: 'symlog', constant: 1, label: '↑ held-out loss above that of exact LoRA, %', grid: true},
      ticks: TICKS.filter((tick) => tick >= lowest && tick <= highest),
      tickFormat: String,
    },
    fx: {label: null},
    color: {domain: FAMILIES.map(([family]) => family), range: FAMILIES.map(([, , colour]) => colour)},
    marks: [
      Plot.line(points.filter(isExact), {...at, sort: 'x', z: null, stroke: 'family', strokeWidth: 2}),
      Plot.ruleX(points, {x: 'x', fx: 'data', y1: 'low', y2: 'high', stroke: 'family'}),
      Plot.dot(points, {...at, fill: 'family', r: 3.5}),
      Plot.dot(
        points.filter(({row}) => row === DEFAULT_ROW),
        {...at, stroke: 'family', strokeWidth: 1.5, r: 7},
      ),
      Plot.text(points, {...at, text: 'number', fill: 'family', dx: 8, dy: -6, fontSize: 10}),
      ...names.map((name, i) =>
        Plot.text([{name, family: familyOf(name)}], {
          ...{frameAnchor: 'top-right', textAnchor: 'start', dx: 24, dy: LINE * i, fill: 'family'},
          ...{fx: () => last, text: () => `${i + 1}  ${name}${name === DEFAULT_ROW ? ' (default)' : ''}`},
        }),
      ),
    ],
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg.outerHTML;
}

/** Draws the figures beside a JSON file: `….cost.svg` and, of what was timed, `….time.svg`. */
export async function writeCharts(json: string, summaries: readonly Summary[]): Promise<void> {
  for (const axis of AXES) {
    const chart = fidelityChart(summaries, axis);
    if (chart) await writeFile(json.replace(/(\.json)?$/, `.${axis.name}.svg`), chart);
  }
}
