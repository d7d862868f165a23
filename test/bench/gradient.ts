import * as tf from '@tensorflow/tfjs-core';
import {keptColumns} from '../../src/config.ts';
import {
  activationGrad,
  approxActivationGrad,
  columnScores,
  deviceRandomUniform,
  loraMatMul,
  packColumns,
  selectColumns,
} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {repeated, type Suite, sideBySide} from './suite.ts';

/** Rows, inputs, outputs: of a 7B Llama's up projection, and of TinyLlama's up and down projections. */
const SHAPES = ['2048,4096,11008', '2048,2048,5632', '2048,5632,2048'];
const KEEPS = [0.5, 0.25, 0.0625];
const FROZEN_RANK = 16;
const REFRESH_EVERY = 20;
/** Runs of a product in one measurement: what it costs to read the result is shared by them. */
const REPEATS = 10;

type Runs = Record<string, () => tf.Tensor>;

/** Stock tfjs's products, ours, and the parts of an approximated activation gradient. */
export function runsOf(rows: number, inputs: number, out: number): Runs {
  const x = deviceRandomUniform([rows, inputs], 1) as tf.Tensor2D;
  const dy = deviceRandomUniform([rows, out], 2) as tf.Tensor2D;
  const kernel = deviceRandomUniform([inputs, out], 3) as tf.Tensor2D;
  const frozenA = deviceRandomUniform([inputs, FROZEN_RANK], 4);
  const frozenB = deviceRandomUniform([FROZEN_RANK, out], 5);
  const norms = tf.norm(kernel, 'euclidean', 0);
  const scores = columnScores(dy, norms);
  const approximated = KEEPS.flatMap((keep): [string, () => tf.Tensor][] => {
    const k = keptColumns(keep, out);
    const indices = selectColumns(scores, k);
    const packed = packColumns({kernel, indices, frozenA, frozenB});
    return [
      [`dx keep ${keep}`, () => approxActivationGrad({dy, indices, packed, frozenA, frozenB})],
      // what the frozen factors cost
      [`dx keep ${keep}, no factors`, () => approxActivationGrad({dy, indices, packed})],
      [`select ${keep}`, () => selectColumns(scores, k)],
      [`pack ${keep}`, () => packColumns({kernel, indices, frozenA, frozenB})],
    ];
  });
  return {
    'stock xW': () => tf.matMul(x, kernel),
    'stock dx': () => tf.matMul(dy, kernel, false, true),
    xW: () => loraMatMul({x, kernel}),
    dx: () => activationGrad({dy, kernel}),
    scores: () => columnScores(dy, norms),
    ...Object.fromEntries(approximated),
  };
}

/** One product forward and its activation gradient, exact and approximated, each by itself. */
export const gradientSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  const all: object[] = [];
  for (const shape of shapes) {
    const [rows, inputs, out] = shape.split(',').map(Number) as [number, number, number];
    if (![rows, inputs, out].every((size) => Number.isInteger(size) && size >= 1)) {
      throw new Error(`--shape must be N,in,out, but is '${shape}'`);
    }
    tf.engine().startScope();
    const runs = Object.entries(runsOf(rows, inputs, out));
    const total = await sideBySide(
      Object.fromEntries(runs.map(([name, run]) => [name, () => repeated(run, REPEATS)])),
      rounds,
    );
    tf.engine().endScope();
    const ms = Object.fromEntries(Object.entries(total).map(([name, sum]) => [name, sum / REPEATS]));
    const flops = 2 * rows * inputs * out;
    const rate = (name: string) => flops / ms[name]! / 1e9;
    say(`\n[${rows}, ${inputs}] · [${inputs}, ${out}], ms of one call (median of ${rounds} × ${REPEATS})`);
    say(
      formatTable([
        ['', 'ms', 'TFLOP/s', 'stock ÷'],
        ...['stock xW', 'xW', 'stock dx', 'dx'].map((name) => [
          name,
          ms[name]!.toFixed(3),
          rate(name).toFixed(1),
          (ms[name.includes('dx') ? 'stock dx' : 'stock xW']! / ms[name]!).toFixed(2),
        ]),
      ]),
    );
    const approximated = KEEPS.map((keep) => {
      const refresh = ms.scores! + ms[`select ${keep}`]! + ms[`pack ${keep}`]!;
      const amortised = ms[`dx keep ${keep}`]! + refresh / REFRESH_EVERY;
      return {keep, ms: ms[`dx keep ${keep}`]!, refreshMs: refresh, amortisedMs: amortised};
    });
    say(
      formatTable([
        [
          `dx, frozen rank ${FROZEN_RANK}`,
          'ms',
          'no factors',
          'refresh',
          'with it every 20',
          'stock dx ÷',
          'exact dx ÷',
          'ceiling',
        ],
        ...approximated.map(({keep, ms: one, refreshMs, amortisedMs}) => [
          `keep ${keep}`,
          one.toFixed(3),
          ms[`dx keep ${keep}, no factors`]!.toFixed(3),
          refreshMs.toFixed(3),
          amortisedMs.toFixed(3),
          (ms['stock dx']! / amortisedMs).toFixed(2),
          (ms.dx! / amortisedMs).toFixed(2),
          (inputs / (keep * inputs + FROZEN_RANK * (inputs / out + 1))).toFixed(2),
        ]),
      ]),
    );
    say(`scores ${ms.scores!.toFixed(3)}, selection of a quarter ${ms['select 0.25']!.toFixed(3)} ms`);
    all.push({rows, inputs, out, frozenRank: FROZEN_RANK, refreshEvery: REFRESH_EVERY, ms, approximated});
  }
  return all;
};
