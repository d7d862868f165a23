import * as tf from '@tensorflow/tfjs-core';
import {activationGrad, deviceRandomUniform, loraMatMul} from '../../src/index.ts';
import {registerWebGPUKernels} from '../../src/kernels/webgpu/register.ts';
import {type Tuning, tuned} from '../../src/kernels/webgpu/tuning.ts';
import {formatTable} from '../../src/model/table.ts';
import {lowRankMatMul} from '../../src/ops/low_rank_mat_mul.ts';
import {gpuMs, productSizes, repeated, requireWebGPU, type Suite} from './suite.ts';

const WIDTHS = [64, 512, 2048, 4096];
const ROWS = [16, 128, 1024, 2048, 8192];
const SHAPES = WIDTHS.flatMap((width) => ROWS.map((rows) => `${rows},${width},${width}`));
const RANKS = [16, 64];
/** Runs of a candidate in one measurement. */
const REPEATS = 10;

/** The depth is cut: workgroups that a product aims at / the least depth of a part. */
const CUTS = [128, 256, 512].flatMap((workgroups) => [64, 128, 256].map((depth) => `${workgroups}/${depth}`));
const flagsOf = (cut: string): Pick<Tuning, 'CELORA_CUT_WORKGROUPS' | 'CELORA_CUT_LEAST_DEPTH'> => {
  const [CELORA_CUT_WORKGROUPS, CELORA_CUT_LEAST_DEPTH] = cut.split('/').map(Number) as [number, number];
  return {CELORA_CUT_WORKGROUPS, CELORA_CUT_LEAST_DEPTH};
};
/** In tiles of 128 × 128. */
const WIDE = 'wide';
/** In tiles of 64 × 64, uncut. */
const WHOLE = 'whole';
/** Skinny products that read whole rows. */
const ROWS_FORM = 'rows';
const NONE = 2 ** 30;

interface Times {
  /** Of the GPU's own clock; 0 without timestamp queries. */
  gpuMs: number;
  wallMs: number;
}

/** A product that has been measured with several values of what it is tuned by. */
interface Tuned {
  product: string;
  /** Of 128 × 128 and of 64 × 64; of a skinny product none. */
  tiles?: {wide: number; narrow: number};
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

/** In tiles of 128 × 128, of 64 × 64 whole and cut, and by stock tfjs. */
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
    const tilesOf = (side: number) => Math.ceil(rows / side) * Math.ceil(n / side);
    const times: Record<string, Times> = {};
    times[WIDE] = await withFlags({CELORA_LEAST_TILES: 1}, ours);
    times[WHOLE] = await withFlags({CELORA_LEAST_TILES: NONE, CELORA_CUT_WORKGROUPS: 1}, ours);
    for (const cut of CUTS) {
      times[cut] = await withFlags({CELORA_LEAST_TILES: NONE, ...flagsOf(cut)}, ours);
    }
    times.stock = await measure(stock);
    const tiles = {wide: tilesOf(128), narrow: tilesOf(64)};
    all.push({product: `${name} ${rows},${inputs},${out}`, tiles, times});
  }
  return all;
}

/** x · A, dy · Bᵀ and xᵀ · d of an adapter: by whole rows, cut into parts, and by stock tfjs. */
async function skinnyProducts(rows: number, inputs: number, out: number, rank: number): Promise<Tuned[]> {
  const x = deviceRandomUniform([rows, inputs], 1) as tf.Tensor2D;
  const dy = deviceRandomUniform([rows, out], 2) as tf.Tensor2D;
  const a = deviceRandomUniform([inputs, rank], 3) as tf.Tensor2D;
  const b = deviceRandomUniform([rank, out], 4) as tf.Tensor2D;
  const d = deviceRandomUniform([rows, rank], 5) as tf.Tensor2D;
  const forms = [
    {name: 'xA', ours: () => lowRankMatMul(x, a), stock: () => tf.matMul(x, a)},
    {
      name: 'dyBᵀ',
      ours: () => lowRankMatMul(dy, b, {transposeB: true}),
      stock: () => tf.matMul(dy, b, false, true),
    },
    {name: 'xᵀd', ours: () => lowRankMatMul(x, d, {transposeA: true}), stock: () => tf.matMul(x, d, true)},
  ];
  const all: Tuned[] = [];
  for (const {name, ours, stock} of forms) {
    const times: Record<string, Times> = {};
    for (const cut of CUTS) times[cut] = await withFlags({CELORA_SKINNY_ROWS: 0, ...flagsOf(cut)}, ours);
    // the other form again where there are no rows to read, or they are short, or the rank is high
    times[ROWS_FORM] = await withFlags({CELORA_SKINNY_ROWS: NONE}, ours);
    times.stock = await measure(stock);
    all.push({product: `${name} ${rows},${inputs},${out}, rank ${rank}`, times});
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

/** The least tiles and the cut that together choose best for `all`, and what the products then cost. */
function bestOf(all: readonly Tuned[]): {least: number; cut: string; factor: number} {
  const ours = all.map(({times: {stock: _, [ROWS_FORM]: __, ...times}, ...one}) => ({...one, times}));
  const leasts = [...new Set(ours.flatMap(({tiles}) => Object.values(tiles ?? {})))].concat(NONE);
  const choices = leasts.flatMap((least) =>
    CUTS.map((cut) => {
      const factor = loss(ours, ({tiles}) => {
        if (tiles && tiles.wide >= least) return WIDE;
        return tiles && tiles.narrow >= least ? WHOLE : cut;
      });
      return {least, cut, factor};
    }),
  );
  return choices.reduce((a, b) => (b.factor < a.factor ? b : a));
}

/** Measures what the values of tuning.ts choose between, on this device, and says which are best. */
export const tuneSuite: Suite = async ({shapes = SHAPES, say, save}) => {
  requireWebGPU('tune');
  registerWebGPUKernels();
  tf.env().set('CELORA_WEBGPU_SHADERS', true);
  const found: {products: Tuned[]; skinny: Tuned[]} = {products: [], skinny: []};
  for (const shape of shapes) {
    const [rows, inputs, out] = productSizes(shape);
    tf.engine().startScope();
    found.products.push(...(await products(rows, inputs, out)));
    for (const rank of RANKS) found.skinny.push(...(await skinnyProducts(rows, inputs, out, rank)));
    tf.engine().endScope();
    await save([found]);
  }
  const table = (all: readonly Tuned[], forms: readonly string[]) =>
    say(
      formatTable([
        ['', ...forms],
        ...all.map(({product, times}) => [product, ...forms.map((form) => msOf(times[form]!).toFixed(3))]),
      ]),
    );
  say('\nproducts: GPU ms of a call, in tiles of 128, of 64, and cut to workgroups/least depth');
  table(found.products, [WIDE, WHOLE, ...CUTS, 'stock']);
  say('\nskinny products: GPU ms by whole rows, and cut to workgroups/least depth');
  table(found.skinny, [ROWS_FORM, ...CUTS, 'stock']);
  const {least, cut, factor} = bestOf([...found.products, ...found.skinny]);
  const best: Partial<Tuning> = {CELORA_LEAST_TILES: least, ...flagsOf(cut)};
  say(`\nbest here: ${JSON.stringify(best)}; so chosen they cost ${factor.toFixed(3)} of the best`);
  return [{...found, best}];
};
