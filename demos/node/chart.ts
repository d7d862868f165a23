import * as Plot from '@observablehq/plot';
import {parseHTML} from 'linkedom';
import type {Comparison} from './compare.ts';

const COLOURS = {'CE-LoRA': '#c2410c', 'exact LoRA': '#1d4ed8'};

/** The loss curves as an SVG document: every step faint, a running mean over a twentieth of the steps on top. */
export function lossChart({celora, exact, baseLoss}: Comparison, title: string): string {
  const before = baseLoss === null ? [] : [baseLoss];
  const {document} = parseHTML('<html><body></body></html>');
  const curves = [
    {method: 'CE-LoRA' as const, losses: celora?.losses ?? []},
    {method: 'exact LoRA' as const, losses: exact?.losses ?? []},
  ].filter(({losses}) => losses.length > 0);
  const points = curves.flatMap(({method, losses}) => losses.map((loss, i) => ({method, step: i + 1, loss})));
  const k = Math.max(1, Math.round((curves[0]?.losses.length ?? 1) / 20));
  // without z a run of one step is warned of on stderr and in the chart
  const line = {x: 'step', y: 'loss', z: 'method', stroke: 'method'};
  const svg = Plot.plot({
    document,
    width: 800,
    height: 470,
    marginTop: 64,
    marginBottom: 40,
    style: {background: 'white', color: 'black', fontSize: '13px'},
    x: {label: 'step'},
    y: {label: null, grid: true},
    color: {domain: Object.keys(COLOURS), range: Object.values(COLOURS)},
    marks: [
      Plot.ruleY(before, {strokeDasharray: '4 4', stroke: '#888'}),
      Plot.line(points, {...line, strokeOpacity: 0.25}),
      Plot.line(points, Plot.windowY({k}, {...line, strokeWidth: 2})),
      Plot.text(before, {
        y: before,
        frameAnchor: 'right',
        textAnchor: 'end',
        dy: 10,
        fill: '#666',
        text: (loss: number) => `held-out loss before: ${loss.toFixed(3)}`,
      }),
      Plot.text([`training loss, ${title}`], {
        frameAnchor: 'top-left',
        dx: -30,
        dy: -52,
        fontSize: 15,
        text: (line: string) => line,
      }),
      ...curves.map(({method, losses}, i) =>
        Plot.text([`${method}: ${losses.at(-1)!.toFixed(3)} at the end`], {
          frameAnchor: 'top-right',
          dy: 16 * i - 52,
          text: (line: string) => line,
          fill: COLOURS[method],
        }),
      ),
    ],
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg.outerHTML;
}
