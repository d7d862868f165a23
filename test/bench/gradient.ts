import * as tf from '@tensorflow/tfjs-core';
import {keptColumns} from '../../src/config.ts';
import {
  activationGrad,
  approxActivationGrad,
  columnScores,
  deviceRandomUniform,
  loraMatMul,
  packColumns,
  packHalf,
  selectColumns,
} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {isHalf, type Weights} from '../../src/ops/half.ts';
import {gpuMs, productSizes, repeated, type Suite, sideBySide} from './suite.ts';

/** Rows, inputs, outputs: of a 7B Llama's up projection, and of TinyLlama's up and down projections. */
const SHAPES = ['2048,4096,11008', '2048,2048,5632', '2048,5632,2048'];
const KEEPS = [0.5, 0.25, 0.0625];
const FROZEN_RANK = 16;
const RANK = 16;
const REFRESH_EVERY = 20;
/** What one measurement of a product lasts at least: what it costs to read the result is shared by its runs. */
const MEASURED_MS = 20;
const [LEAST_REPEATS, MOST_REPEATS] = [10, 400];

type Runs = Record<string, () => tf.Tensor>;

/** Exact and approximated activation gradients by this package, and the parts of the latter. */
function gradientsOf(
  dy: tf.Tensor2D,
  kernel: Weights,
  inputs: number,
  scores: tf.Tensor1D,
  suffix = '',
): Runs {
  const [rows, out] = dy.shape;
  const factors = {
    frozenA: deviceRandomUniform([inputs, FROZEN_RANK], 4),
    frozenB: deviceRandomUniform([FROZEN_RANK, out], 5),
  };
  const adapter = {
    loraA: deviceRandomUniform([inputs, RANK], 6),
    loraDy: deviceRandomUniform([rows, RANK], 7),
  };
  const runs: Runs = {
    dx: () => activationGrad({dy, kernel}),
    'dx, adapter': () => activationGrad({dy, kernel, ...adapter}),
  };
  for (const keep of KEEPS) {
    const indices = selectColumns(scores, keptColumns(keep, out));
    const pack = (some: Partial<typeof factors>) => packColumns({kernel, indices, ...some});
    const [packed, alone] = [pack(factors), pack({})];
    const approximated = {dy, indices, packed, ...factors};
    runs[`dx keep ${keep}`] = () => approxActivationGrad(approximated);
    // what the adapter's term costs, and the frozen factors
    runs[`dx keep ${keep}, adapter`] = () => approxActivationGrad({...approximated, ...adapter});
    runs[`dx keep ${keep}, no factors`] = () => approxActivationGrad({dy, indices, packed: alone});
    runs[`pack ${keep}`] = () => {
      const made = pack(factors);
      return isHalf(made) ? made.words : made;
    };
  }
  return Object.fromEntries(Object.entries(runs).map(([name, run]) => [name + suffix, run]));
}

const BFLOAT16 = ', bfloat16';

/** Stock tfjs's products, and ours. */
export function runsOf(rows: number, inputs: number, out: number): Runs {
  const x = deviceRandomUniform([rows, inputs], 1) as tf.Tensor2D;
  const dy = deviceRandomUniform([rows, out], 2) as tf.Tensor2D;
  const kernel = deviceRandomUniform([inputs, out], 3) as tf.Tensor2D;
  const norms = tf.norm(kernel, 'euclidean', 0) as tf.Tensor1D;
  const scores = columnScores(dy, norms);
  const selections = KEEPS.map((keep): [string, () => tf.Tensor] => {
    const k = keptColumns(keep, out);
    return [`select ${keep}`, () => selectColumns(scores, k)];
  });
  const runs: Runs = {
    'stock xW': () => tf.matMul(x, kernel),
    'stock dx': () => tf.matMul(dy, kernel, false, true),
    xW: () => loraMatMul({x, kernel}),
    scores: () => columnScores(dy, norms),
    ...Object.fromEntries(selections),
    ...gradientsOf(dy, kernel, inputs, scores),
  };
  // the one backend that multiplies in it
  if (tf.getBackend() !== 'tensorflow') return runs;
  const half = packHalf(kernel, 'bfloat16');
  return {
    ...runs,
    [`xW${BFLOAT16}`]: () => loraMatMul({x, kernel: half}),
    ...gradientsOf(dy, half, inputs, scores, BFLOAT16),
  };
}

/** How often something runs in one measurement. */
async function repeatsOf(run: () => tf.Tensor): Promise<number> {
  await repeated(run, 1);
  const start = performance.now();
  await repeated(run, LEAST_REPEATS);
  const each = (performance.now() - start) / LEAST_REPEATS;
  return Math.min(MOST_REPEATS, Math.max(LEAST_REPEATS, Math.ceil(MEASURED_MS / each)));
}

/** Milliseconds of one run of each. */
async function measure(runs: Runs, rounds: number): Promise<Record<string, number>> {
  const candidates: Record<string, () => Promise<void>> = {};
  const repeats: Record<string, number> = {};
  for (const [name, run] of Object.entries(runs)) {
    const times = await repeatsOf(run);
    repeats[name] = times;
    candidates[name] = () => repeated(run, times);
  }
  const total = await sideBySide(candidates, rounds);
  return Object.fromEntries(Object.entries(total).map(([name, sum]) => [name, sum / repeats[name]!]));
}

/** One product forward and its activation gradient, exact and approximated, each by itself. */
export const gradientSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  const all: object[] = [];
  for (const shape of shapes) {
    const [rows, inputs, out] = productSizes(shape);
    tf.engine().startScope();
    const runs = runsOf(rows, inputs, out);
    const ms = await measure(runs, rounds);
    const gpu: Record<string, number> = {};
    for (const [name, run] of Object.entries(runs)) {
      const time = await gpuMs(run, LEAST_REPEATS);
      if (time !== undefined) gpu[name] = time;
    }
    tf.engine().endScope();
    const flops = 2 * rows * inputs * out;
    say(`\n[${rows}, ${inputs}] · [${inputs}, ${out}], ms of one call (median of ${rounds})`);
    const precisions = ['', BFLOAT16].filter((suffix) => ms[`dx${suffix}`] !== undefined);
    const exact = ['stock xW', 'stock dx', ...precisions.flatMap((suffix) => [`xW${suffix}`, `dx${suffix}`])];
    say(
      formatTable([
        ['', 'ms', 'GPU ms', 'TFLOP/s', 'stock ÷'],
        ...exact.map((name) => [
          name,
          ms[name]!.toFixed(3),
          gpu[name]?.toFixed(3) ?? '',
          (flops / ms[name]! / 1e9).toFixed(1),
          (ms[name.includes('dx') ? 'stock dx' : 'stock xW']! / ms[name]!).toFixed(2),
        ]),
      ]),
    );
    const approximated = precisions.flatMap((suffix) =>
      KEEPS.map((keep) => {
        const refreshMs = ms.scores! + ms[`select ${keep}`]! + ms[`pack ${keep}${suffix}`]!;
        const one = ms[`dx keep ${keep}${suffix}`]!;
        return {
          base: suffix === BFLOAT16 ? 'bfloat16' : 'float32',
          keep,
          ms: one,
          withoutFactorsMs: ms[`dx keep ${keep}, no factors${suffix}`]!,
          withAdapterMs: ms[`dx keep ${keep}, adapter${suffix}`]!,
          exactMs: ms[`dx${suffix}`]!,
          exactWithAdapterMs: ms[`dx, adapter${suffix}`]!,
          refreshMs,
          amortisedMs: one + refreshMs / REFRESH_EVERY,
        };
      }),
    );
    say(
      formatTable([
        [
          `dx, frozen rank ${FROZEN_RANK}`,
          'ms',
          'no factors',
          'refresh',
          `with it every ${REFRESH_EVERY}`,
          'stock dx ÷',
          'exact dx ÷',
          'ceiling',
          `adapter of rank ${RANK}`,
          'exact ÷',
        ],
        ...approximated.map((row) => [
          `${row.base} keep ${row.keep}`,
          row.ms.toFixed(3),
          row.withoutFactorsMs.toFixed(3),
          row.refreshMs.toFixed(3),
          row.amortisedMs.toFixed(3),
          (ms['stock dx']! / row.amortisedMs).toFixed(2),
          (row.exactMs / row.amortisedMs).toFixed(2),
          (inputs / (row.keep * inputs + FROZEN_RANK * (inputs / out + 1))).toFixed(2),
          row.withAdapterMs.toFixed(3),
          (row.exactWithAdapterMs / row.withAdapterMs).toFixed(2),
        ]),
      ]),
    );
    const both = (name: string) =>
      `${ms[name]!.toFixed(3)} ms${gpu[name] === undefined ? '' : ` (GPU ${gpu[name].toFixed(3)})`}`;
    say(`scores ${both('scores')}, selection of a quarter ${both('select 0.25')}`);
    const clock = Object.keys(gpu).length > 0 ? {gpuMs: gpu} : {};
    all.push({
      rows,
      inputs,
      out,
      frozenRank: FROZEN_RANK,
      refreshEvery: REFRESH_EVERY,
      ms,
      ...clock,
      approximated,
    });
  }
  return all;
};
