import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  approxActivationGrad,
  installFastMatMul,
  loraMatMul,
  packColumns,
  packHalf,
} from '../../../src/index.ts';
import {lowRankMatMul} from '../../../src/ops/low_rank_mat_mul.ts';
import {randomStream} from '../../../src/random.ts';
import {describeShaders, expectClose} from '../../backends.ts';
import {randomProduct, tensorOf, tensorsOf} from '../../ops/tensors.ts';
import {nearestMatrix} from '../../reference/half.ts';
import {forward} from '../../reference/lora.ts';
import {add, matMul, randomMatrix, scale, subtract, takeColumns, transpose} from '../../reference/matrix.ts';
import {dispatchesOf} from '../../support/dispatches.ts';
import {tuningOfTests} from './set_tuning.ts';

describeShaders('what skinny products are tuned by', () => {
  const set = tuningOfTests();
  const random = randomStream(1);
  const [a, b] = [randomMatrix(70, 300, random), randomMatrix(300, 12, random)];

  for (const [workgroups, leastDepth, dispatches] of [
    [1, 64, 1],
    [2048, 64, 2],
    [2048, 301, 1],
    [4, 128, 2],
  ] as const) {
    it(`changes no value: ${workgroups} workgroups, parts of ${leastDepth} or more`, async () => {
      set({CELORA_CUT_WORKGROUPS: workgroups, CELORA_CUT_LEAST_DEPTH: leastDepth});
      const run = () => lowRankMatMul(tensorOf(a), tensorOf(b));
      expect(await dispatchesOf(run)).to.equal(dispatches);
      await expectClose(run(), matMul(a, b).data, 1e-6);
    });
  }
});

describeShaders('a skinny product that reads whole rows', () => {
  const set = tuningOfTests();

  for (const [m, depth, n] of [
    [17, 512, 16],
    [13, 1300, 12],
    [4, 1028, 4],
    [70, 2052, 8],
  ] as const) {
    for (const transposeB of [false, true]) {
      it(`is one pass, and equals the formula: ${m}×${depth}×${n}${transposeB ? ', B transposed' : ''}`, async () => {
        const random = randomStream(2);
        const [a, b] = [randomMatrix(m, depth, random), randomMatrix(depth, n, random)];
        const right = tensorOf(transposeB ? transpose(b) : b);
        const run = () => lowRankMatMul(tensorOf(a), right, {transposeB, scale: 0.75});
        expect(await dispatchesOf(run)).to.equal(1);
        await expectClose(run(), scale(matMul(a, b), 0.75).data);
      });
    }
  }

  it('is cut instead where rows are short or no whole vec4s, the columns or the rows too many', async () => {
    set({CELORA_SKINNY_ROWS: 40});
    const random = randomStream(2);
    for (const [m, depth, n] of [
      [9, 508, 8],
      [9, 614, 8],
      [9, 616, 7],
      [40, 616, 20],
      [41, 616, 16],
    ] as const) {
      const [a, b] = [randomMatrix(m, depth, random), randomMatrix(depth, n, random)];
      const run = () => lowRankMatMul(tensorOf(a), tensorOf(b));
      expect(await dispatchesOf(run)).to.equal(2);
      await expectClose(run(), matMul(a, b).data);
    }
  });
});

describeShaders('a product whose depth is cut into parts', () => {
  const set = tuningOfTests();
  beforeEach(() => {
    set({CELORA_CUT_WORKGROUPS: 2048, CELORA_CUT_LEAST_DEPTH: 32});
  });

  for (const [rows, inputs, units] of [
    [5, 123, 123],
    [70, 128, 68],
    [3, 97, 1],
  ] as const) {
    it(`equals the formula with bias, adapter and activation: ${rows}×${inputs}×${units}`, async () => {
      for (const activation of ['linear', 'relu', 'elu'] as const) {
        const product = {...randomProduct({rows, inputs, units, rank: 3, bias: true}), activation};
        const run = () => loraMatMul(tensorsOf(product));
        // the adapter's own product is two passes, this one two
        expect(await dispatchesOf(run)).to.equal(4);
        await expectClose(run(), forward(product).data);
      }
    });
  }

  it('is whole where its tiles occupy the GPU', async () => {
    set({CELORA_LEAST_TILES: 4});
    for (const [rows, dispatches] of [
      [64, 2],
      [65, 1],
    ] as const) {
      const product = randomProduct({rows, inputs: 96, units: 100, rank: 0, bias: true});
      const run = () => loraMatMul(tensorsOf(product));
      expect(await dispatchesOf(run)).to.equal(dispatches);
      await expectClose(run(), forward(product).data);
    }
  });

  it('equals the formula from a kernel at half precision', async () => {
    const product = randomProduct({rows: 5, inputs: 123, units: 7, rank: 0, bias: false});
    const kernel = packHalf(tensorOf(product.kernel), 'float16');
    const expected = forward({...product, kernel: nearestMatrix(product.kernel, 'float16')});
    await expectClose(loraMatMul({...tensorsOf(product), kernel}), expected.data);
  });

  for (const [rows, inputs, out] of [
    [5, 33, 123],
    [66, 64, 128],
  ] as const) {
    it(`equals the formula from kept columns, frozen factors and an adapter: ${rows}×${inputs}×${out}`, async () => {
      const random = randomStream(3);
      const [dy, kernel] = [randomMatrix(rows, out, random), randomMatrix(inputs, out, random)];
      const [frozenA, frozenB] = [randomMatrix(inputs, 4, random), randomMatrix(4, out, random)];
      const [loraA, loraDy] = [randomMatrix(inputs, 3, random), randomMatrix(rows, 3, random)];
      const columns = Array.from({length: 98}, (_, i) => i + (i >> 2));
      const indices = tf.tensor1d(columns, 'int32');
      const factors = {frozenA: tensorOf(frozenA), frozenB: tensorOf(frozenB)};
      const packed = packColumns({kernel: tensorOf(kernel), indices, ...factors});
      const adapter = {loraA: tensorOf(loraA), loraDy: tensorOf(loraDy)};
      const run = () => approxActivationGrad({dy: tensorOf(dy), indices, packed, ...factors, ...adapter});
      expect(await dispatchesOf(run)).to.equal(4);
      const low = matMul(frozenA, frozenB);
      const kept = takeColumns(subtract(kernel, low), columns);
      await expectClose(
        run(),
        add(
          matMul(takeColumns(dy, columns), transpose(kept)),
          matMul(dy, transpose(low)),
          matMul(loraDy, transpose(loraA)),
        ).data,
      );
    });
  }

  it('equals the formula with either side transposed', async () => {
    const installation = installFastMatMul();
    const usual = tf.env().getNumber('CELORA_FAST_MATMUL_LEAST_WORK');
    tf.env().set('CELORA_FAST_MATMUL_LEAST_WORK', 0);
    try {
      const random = randomStream(4);
      const [a, b] = [randomMatrix(9, 130, random), randomMatrix(130, 11, random)];
      for (const [transposeA, transposeB] of [
        [false, true],
        [true, false],
        [true, true],
      ] as const) {
        const run = () =>
          tf.matMul(
            tensorOf(transposeA ? transpose(a) : a),
            tensorOf(transposeB ? transpose(b) : b),
            transposeA,
            transposeB,
          );
        expect(await dispatchesOf(run)).to.equal(2);
        await expectClose(run(), matMul(a, b).data);
      }
    } finally {
      tf.env().set('CELORA_FAST_MATMUL_LEAST_WORK', usual);
      installation.dispose();
    }
  });
});
