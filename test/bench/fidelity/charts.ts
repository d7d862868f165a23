import {writeFile} from 'node:fs/promises';
import * as Plot from '@observablehq/plot';
import {parseHTML} from 'linkedom';
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

/** Held-out loss against an axis, one panel a data set, as an SVG document; undefined without points. */
export function fidelityChart(summaries: readonly Summary[], {label, of}: Axis): string | undefined {
  const points = summaries.flatMap((summary) => {
    const x = of(summary);
    return x === undefined ? [] : [{...summary, x, family: familyOf(summary.row)}];
  });
  if (points.length === 0) return undefined;
  const {document} = parseHTML('<html><body></body></html>');
  const at = {x: 'x', y: 'loss', fx: 'data'} as const;
  const exact = points.filter(isExact);
  const svg = Plot.plot({
    document,
    width: 1000,
    height: 620,
    marginTop: 40,
    style: {background: 'white', color: 'black', fontSize: '12px'},
    x: {label, inset: 20},
    y: {label: '↑ held-out loss', grid: true},
    fx: {label: null},
    color: {
      legend: false,
      domain: FAMILIES.map(([family]) => family),
      range: FAMILIES.map(([, , colour]) => colour),
    },
    marks: [
      Plot.line(exact, {...at, sort: 'x', z: null, stroke: 'family', strokeWidth: 2}),
      Plot.ruleX(points, {
        ...{x: 'x', fx: 'data', stroke: 'family'},
        y1: ({loss, spread}: Summary) => loss - spread,
        y2: ({loss, spread}: Summary) => loss + spread,
      }),
      Plot.dot(points, {...at, fill: 'family', r: 4}),
      Plot.text(points, {...at, text: 'row', fill: 'family', dy: -7, fontSize: 8}),
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
