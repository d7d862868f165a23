import * as tf from '@tensorflow/tfjs-core';
import {activationGrad, deviceRandomUniform, loraMatMul} from '../../src/index.ts';
import {registerWebGPUKernels} from '../../src/kernels/webgpu/register.ts';
import {type Tuning, tuned} from '../../src/kernels/webgpu/tuning.ts';
import {formatTable} from '../../src/model/table.ts';
import {lowRankMatMul} from '../../src/ops/low_rank_mat_mul.ts';
import {gpuMs, repeated, type Suite} from './suite.ts';

const WIDTHS = [64, 512, 2048, 4096];
const ROWS = [16, 128, 1024, 8192];
const SHAPES = WIDTHS.flatMap((width) => ROWS.map((rows) => `${rows},${width},${width}`));
const RANK = 16;
/** Runs of a candidate in one measurement. */
const REPEATS = 10;

/** How products in narrow tiles are shared out: the workgroups that they aim at / the least depth of a part / the slice. */
const CUTS = [
  ...['1/1/16', '256/256/16', '512/256/16'],
  ...['1/1/32', '256/128/32', '256/256/32', '512/128/32', '512/256/32', '512/512/32', '1024/256/32'],
];
const SKINNY_CUTS = [128, 256, 512, 1024, 2048].flatMap((workgroups) =>
  [64, 128, 256].map((depth) => `${workgroups}/${depth}`),
);

const valuesOf = (cut: string) => cut.split('/').map(Number) as [number, number, number];
const productFlags = (cut: string) => {
  const [CELORA_PRODUCT_WORKGROUPS, CELORA_PRODUCT_LEAST_DEPTH, CELORA_NARROW_SLICE] = valuesOf(cut);
  return {CELORA_PRODUCT_WORKGROUPS, CELORA_PRODUCT_LEAST_DEPTH, CELORA_NARROW_SLICE};
};
const skinnyFlags = (cut: string) => {
  const [CELORA_SKINNY_WORKGROUPS, CELORA_SKINNY_LEAST_DEPTH] = valuesOf(cut);
  return {CELORA_SKINNY_WORKGROUPS, CELORA_SKINNY_LEAST_DEPTH};
};
/** Skinny products that read whole rows. */
const ROWS_FORM = 'rows';

interface Times {
  /** Of the GPU's own clock; 0 without timestamp queries. */
  gpuMs: number;
  wallMs: number;
}

/** A product that has been measured with several values of what it is tuned by. */
interface Tuned {
  product: string;
  /** What decides between the candidates: tiles, multiply-adds. */
  size: number;
  times: Record<string, Times>;
}

const msOf = ({gpuMs, wallMs}: Times): number => gpuMs || wallMs;

async function measure(run: () => tf.Tensor): Promise<Times> {
  await repeated(run, 2);
  const onGpu = (await gpuMs(run, REPEATS)) ?? 0;
  const start = performance.now();
  await repeated(run, REPEATS);
  const wallMs = (performance.now() - start) / REPEATS;
  return {gpuMs: onGpu, wallMs};
}

async function withFlags(flags: Partial<Tuning>, run: () => tf.Tensor): Promise<Times> {
  const before = Object.keys(flags).map((name) => [name, tuned(name as keyof Tuning)] as const);
  for (const [name, value] of Object.entries(flags)) tf.env().set(name, value);
  try {
    return await measure(run);
  } finally {
    for (const [name, value] of before) tf.env().set(name, value);
  }
}

/** Tiles of 128 × 128, of 64 × 64 in several ways, and stock tfjs. */
async function products(rows: number, inputs: number, out: number): Promise<Tuned[]> {
  const x = deviceRandomUniform([rows, inputs], 1) as tf.Tensor2D;
  const dy = deviceRandomUniform([rows, out], 2) as tf.Tensor2D;
  const kernel = deviceRandomUniform([inputs, out], 3) as tf.Tensor2D;
  const forms = [
    {name: 'xW', n: out, ours: () => loraMatMul({x, kernel}), stock: () => tf.matMul(x, kernel)},
    {
      name: 'dx',
      n: inputs,
      ours: () => activationGrad({dy, kernel}),
      stock: () => tf.matMul(dy, kernel, false, true),
    },
  ];
  const all: Tuned[] = [];
  for (const {name, n, ours, stock} of forms) {
    const size = Math.ceil(rows / 128) * Math.ceil(n / 128);
    const times: Record<string, Times> = {};
    times.wide = await withFlags({CELORA_STOCK_ROWS: 0, CELORA_LEAST_WIDE_TILES: 1}, ours);
    for (const cut of CUTS) {
      const flags = {CELORA_STOCK_ROWS: 0, CELORA_LEAST_WIDE_TILES: 2 ** 30, ...productFlags(cut)};
      times[cut] = await withFlags(flags, ours);
    }
    times.stock = await measure(stock);
    all.push({product: `${name} ${rows},${inputs},${out}`, size, times});
  }
  return all;
}

/** x · A, dy · Bᵀ and xᵀ · d of an adapter, by into how many parts the depth is cut. */
async function skinnyProducts(rows: number, inputs: number, out: number): Promise<Tuned[]> {
  const x = deviceRandomUniform([rows, inputs], 1) as tf.Tensor2D;
  const dy = deviceRandomUniform([rows, out], 2) as tf.Tensor2D;
  const a = deviceRandomUniform([inputs, RANK], 3) as tf.Tensor2D;
  const b = deviceRandomUniform([RANK, out], 4) as tf.Tensor2D;
  const d = deviceRandomUniform([rows, RANK], 5) as tf.Tensor2D;
  const forms: [string, () => tf.Tensor][] = [
    ['xA', () => lowRankMatMul(x, a)],
    ['dyBᵀ', () => lowRankMatMul(dy, b, {transposeB: true})],
    ['xᵀd', () => lowRankMatMul(x, d, {transposeA: true})],
  ];
  const all: Tuned[] = [];
  for (const [name, run] of forms) {
    const times: Record<string, Times> = {};
    for (const cut of SKINNY_CUTS) {
      times[cut] = await withFlags({CELORA_SKINNY_ROWS: 2 ** 30, ...skinnyFlags(cut)}, run);
    }
    // xᵀ has no rows to read
    if (name !== 'xᵀd') {
      times[ROWS_FORM] = await withFlags({CELORA_SKINNY_ROWS: 1, CELORA_SKINNY_ROWS_DEPTH: 4}, run);
    }
    all.push({product: `${name} ${rows},${inputs},${out}`, size: rows * inputs, times});
  }
  return all;
}

/** Mean of the logarithm of what `choose` costs over the best candidate, as a factor. */
function loss(all: readonly Tuned[], choose: (one: Tuned) => string): number {
  const logs = all.map((one) => {
    const best = Math.min(...Object.values(one.times).map(msOf));
    return Math.log(msOf(one.times[choose(one)]!) / best);
  });
  return Math.exp(logs.reduce((sum, log) => sum + log, 0) / all.length);
}

/** The threshold on `size` and the cut of narrow tiles that together choose best, and what they cost. */
function bestTiles(all: readonly Tuned[]): {threshold: number; cut: string; factor: number} {
  const ours = all.map(({times: {stock: _, ...times}, ...one}) => ({...one, times}));
  const thresholds = [...new Set([1, ...ours.map(({size}) => size), 2 ** 30])];
  const choices = thresholds.flatMap((threshold) =>
    CUTS.map((cut) => ({
      threshold,
      cut,
      factor: loss(ours, ({size}) => (size >= threshold ? 'wide' : cut)),
    })),
  );
  return choices.reduce((a, b) => (b.factor < a.factor ? b : a));
}

/** Measures what the values of tuning.ts choose between, on this device, and says which are best. */
export const tuneSuite: Suite = async ({shapes = SHAPES, say, save}) => {
  if (tf.getBackend() !== 'webgpu')
    throw new Error(`tune is for webgpu, but the backend is ${tf.getBackend()}`);
  registerWebGPUKernels();
  tf.env().set('CELORA_WEBGPU_SHADERS', true);
  const found: {products: Tuned[]; skinny: Tuned[]} = {products: [], skinny: []};
  for (const shape of shapes) {
    const [rows, inputs, out] = shape.split(',').map(Number) as [number, number, number];
    if (![rows, inputs, out].every((size) => Number.isInteger(size) && size >= 1)) {
      throw new Error(`--shape must be N,in,out, but is '${shape}'`);
    }
    for (const [kind, run] of Object.entries({products, skinny: skinnyProducts}) as [
      keyof typeof found,
      typeof products,
    ][]) {
      tf.engine().startScope();
      found[kind].push(...(await run(rows, inputs, out)));
      tf.engine().endScope();
    }
    await save([found]);
  }
  say('\nproducts: GPU ms of a call, in tiles of 128, and of 64 by workgroups/least depth/slice');
  const candidates = ['wide', ...CUTS, 'stock'];
  say(
    formatTable([
      ['', 'tiles of 128', ...candidates],
      ...found.products.map((one) => [
        one.product,
        one.size,
        ...candidates.map((name) => msOf(one.times[name]!).toFixed(3)),
      ]),
    ]),
  );
  say(`\nskinny products, rank ${RANK}: GPU ms by workgroups/least depth`);
  say(
    formatTable([
      ['', ROWS_FORM, ...SKINNY_CUTS],
      ...found.skinny.map((one) => [
        one.product,
        ...[ROWS_FORM, ...SKINNY_CUTS].map((form) => {
          const times = one.times[form];
          return times ? msOf(times).toFixed(3) : '';
        }),
      ]),
      [
        'mean over the best',
        '',
        ...SKINNY_CUTS.map((setting) => loss(found.skinny, () => setting).toFixed(3)),
      ],
    ]),
  );
  const tiles = bestTiles(found.products);
  const skinnyCut = SKINNY_CUTS.reduce((a, b) =>
    loss(found.skinny, () => b) < loss(found.skinny, () => a) ? b : a,
  );
  const best: Partial<Tuning> = {
    CELORA_LEAST_WIDE_TILES: tiles.threshold,
    ...productFlags(tiles.cut),
    ...skinnyFlags(skinnyCut),
  };
  say(`\nbest here: ${JSON.stringify(best)}; tiles so chosen cost ${tiles.factor.toFixed(3)} of the best`);
  return [{...found, best}];
};
