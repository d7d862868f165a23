import * as tf from '@tensorflow/tfjs-core';
import {formatTable} from '../../src/model/table.ts';
import {runsOf} from './gradient.ts';
import {measureLayer} from './layer.ts';
import {gpuMs, productSizes, repeated, type Suite, sideBySide} from './suite.ts';

const WIDTHS = [64, 512, 2048, 4096];
const ROWS = [16, 128, 1024, 8192];
const SHAPES = WIDTHS.flatMap((width) => ROWS.map((rows) => `${rows},${width},${width}`));

/** Runs of a product in one measurement: what it costs to read the result is shared by them. */
const REPEATS = 10;

/** Beyond the scatter of a median of few. */
const SLOWER = 1.1;

const COLUMNS = {
  'stock xW': 'stock xW',
  xW: 'xW',
  'stock dx': 'stock dx',
  dx: 'dx',
  'keep .5': 'dx keep 0.5',
  'keep .25': 'dx keep 0.25',
} as const;
const LAYERS = {
  'stock layer': 'stock tfjs',
  exact: 'exact LoRA, our layer',
  'CE .5': 'CE-LoRA keep 0.5',
  'CE .25': 'CE-LoRA keep 0.25',
} as const;

async function measure(rows: number, inputs: number, out: number, rounds: number) {
  tf.engine().startScope();
  const runs = runsOf(rows, inputs, out);
  const products = Object.entries(COLUMNS).map(([column, name]) => [
    column,
    () => repeated(runs[name]!, REPEATS),
  ]);
  const total = await sideBySide(Object.fromEntries(products), rounds);
  const gpu: Record<string, number> = {};
  for (const [column, name] of Object.entries(COLUMNS)) {
    const ms = await gpuMs(runs[name]!, REPEATS);
    if (ms !== undefined) gpu[column] = ms;
  }
  tf.engine().endScope();
  const layers = await measureLayer(rows, inputs, out, rounds);
  const layerMs = (name: string) => layers.find(({candidate}) => candidate === name)!.forwardBackwardMs;
  const ms = {
    ...Object.fromEntries(Object.entries(total).map(([name, ms]) => [name, ms / REPEATS])),
    ...Object.fromEntries(Object.entries(LAYERS).map(([column, name]) => [column, layerMs(name)])),
  } as Record<keyof typeof COLUMNS | keyof typeof LAYERS, number>;
  return {ms, gpu};
}

/** What of ours is slower than stock tfjs, with how many times. */
const slowerThanStock = (shape: string, ms: Partial<Record<string, number>>): string[] =>
  (
    [
      ['xW', 'stock xW'],
      ['dx', 'stock dx'],
      ['exact', 'stock layer'],
      ['CE .25', 'stock layer'],
    ] as const
  )
    .filter(([own, stock]) => ms[own]! > SLOWER * ms[stock]!)
    .map(([own, stock]) => `${shape} ${own} ${(ms[own]! / ms[stock]!).toFixed(2)}`);

/** How products and whole layers (forward and backward) grow with rows and width, ours beside stock tfjs's. */
export const sizesSuite: Suite = async ({rounds, shapes = SHAPES, say, save}) => {
  const names = [...Object.keys(COLUMNS), ...Object.keys(LAYERS)] as (
    | keyof typeof COLUMNS
    | keyof typeof LAYERS
  )[];
  const table: string[][] = [['rows, in, out', ...names]];
  const ofGpu: string[][] = [['rows, in, out', ...Object.keys(COLUMNS)]];
  const slower: string[] = [];
  const slowerOnGpu: string[] = [];
  const results: object[] = [];
  for (const shape of shapes) {
    const [rows, inputs, out] = productSizes(shape);
    const {ms, gpu} = await measure(rows, inputs, out, rounds);
    table.push([shape, ...names.map((name) => ms[name].toFixed(3))]);
    ofGpu.push([shape, ...Object.keys(COLUMNS).map((name) => gpu[name]?.toFixed(3) ?? '')]);
    slower.push(...slowerThanStock(shape, ms));
    slowerOnGpu.push(...slowerThanStock(shape, gpu));
    results.push({rows, inputs, out, ms, gpuMs: gpu});
    await save(results);
  }
  say(`\nms of one call (median of ${rounds} × ${REPEATS}), and of a layer of rank 16 forward and backward`);
  say(formatTable(table));
  say(`more than ${SLOWER} times as slow as stock: ${slower.join('; ') || 'none'}`);
  if (tf.getBackend() === 'webgpu') {
    say('\nms of one call on the GPU, without what it costs the CPU to ask for it');
    say(formatTable(ofGpu));
    say(`more than ${SLOWER} times as slow as stock: ${slowerOnGpu.join('; ') || 'none'}`);
  }
  return results;
};
