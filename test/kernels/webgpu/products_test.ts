import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  ActivationGradient,
  activationGrad,
  approxActivationGrad,
  loraMatMul,
  packColumns,
  packHalf,
  sampledActivationGrad,
} from '../../../src/index.ts';
import {randomStream} from '../../../src/random.ts';
import {describeShaders, expectClose} from '../../backends.ts';
import {randomDy, randomProduct, tensorOf, tensorsOf} from '../../ops/tensors.ts';
import {nearestMatrix} from '../../reference/half.ts';
import {adapterGradient, exactDx, forward} from '../../reference/lora.ts';
import {transpose} from '../../reference/matrix.ts';
import {sampledDx} from '../../reference/rows.ts';
import {dispatchesOf} from '../../support/dispatches.ts';
import {tuningOfTests} from './set_tuning.ts';

/** Uniform in ±1, and as a tensor. */
function numbers(shape: [number, number], seed: number): {values: Float32Array; tensor: tf.Tensor2D} {
  const random = randomStream(seed);
  const values = Float32Array.from({length: shape[0] * shape[1]}, () => 2 * random() - 1);
  return {values, tensor: tf.tensor2d(values, shape)};
}

describeShaders('products of many tiles', () => {
  const set = tuningOfTests();
  beforeEach(() => set({CELORA_LEAST_TILES: 1}));
  // the last tiles are partial
  const [rows, inputs, out] = [1000, 1012, 96];
  /** Rows and columns of the result to look at: at the corners of tiles, and in the last partial ones. */
  const SOME = [0, 1, 63, 64, 127, 128, 500, 895, 896, 959, 960, 999];

  /** The numbers at SOME × SOME of a [rows, columns] result. */
  const pick = (y: tf.Tensor): tf.Tensor =>
    tf.gather(tf.gather(y, tf.tensor1d(SOME, 'int32')), tf.tensor1d(SOME, 'int32'), 1);

  it('equal the formula: kept columns, frozen factors and adapter in one loop', async () => {
    const [k, frozenRank, rank] = [32, 16, 16];
    const dy = numbers([rows, out], 1);
    const kernel = numbers([inputs, out], 2);
    const [frozenA, frozenB] = [numbers([inputs, frozenRank], 3), numbers([frozenRank, out], 4)];
    const [loraA, loraDy] = [numbers([inputs, rank], 5), numbers([rows, rank], 6)];
    const columns = Array.from({length: k}, (_, i) => 3 * i);
    const indices = tf.tensor1d(columns, 'int32');
    const factors = {frozenA: frozenA.tensor, frozenB: frozenB.tensor};
    const packed = packColumns({kernel: kernel.tensor, indices, ...factors});
    const adapter = {loraA: loraA.tensor, loraDy: loraDy.tensor};
    const dx = approxActivationGrad({dy: dy.tensor, indices, packed, ...factors, ...adapter});
    const expected = SOME.flatMap((i) =>
      SOME.map((j) => {
        const low = (column: number) =>
          Array.from({length: frozenRank}).reduce(
            (sum: number, _, r) =>
              sum + frozenA.values[j * frozenRank + r]! * frozenB.values[r * out + column]!,
            0,
          );
        let sum = 0;
        for (let column = 0; column < out; column++) {
          const d = dy.values[i * out + column]!;
          sum += d * (columns.includes(column) ? kernel.values[j * out + column]! : low(column));
        }
        for (let r = 0; r < rank; r++) sum += loraDy.values[i * rank + r]! * loraA.values[j * rank + r]!;
        return sum;
      }),
    );
    await expectClose(pick(dx), expected, 1e-5);
  });

  it('equal the formula: xW + b through relu, with a depth that is no whole number of slices', async () => {
    const depth = 20;
    const [x, kernel, bias] = [
      numbers([rows, depth], 1),
      numbers([depth, inputs], 2),
      numbers([1, inputs], 3),
    ];
    const y = loraMatMul({
      x: x.tensor,
      kernel: kernel.tensor,
      bias: tf.reshape(bias.tensor, [inputs]),
      activation: 'relu',
    });
    const expected = SOME.flatMap((i) =>
      SOME.map((j) => {
        let sum = bias.values[j]!;
        for (let k = 0; k < depth; k++) sum += x.values[i * depth + k]! * kernel.values[k * inputs + j]!;
        return Math.max(0, sum);
      }),
    );
    await expectClose(pick(y), expected, 1e-5);
  });

  it('equal the formulas from a kernel at half precision: forward, back, and of sampled rows', async () => {
    const sizes = {rows: 70, inputs: 66, units: 36, rank: 3, bias: true};
    const product = randomProduct(sizes);
    const rounded = {...product, kernel: nearestMatrix(product.kernel, 'float16')};
    const dy = randomDy(sizes);
    const adapter = {
      loraA: tensorOf(product.loraA!),
      loraDy: tensorOf(adapterGradient(dy, product.loraB!, product.scale)),
    };
    const [indices, weights] = [
      [1, 64, 69],
      [0.5, 2, 1.25],
    ];
    const sample = {indices: tf.tensor1d(indices, 'int32'), weights: tf.tensor1d(weights)};
    for (const transposed of [false, true]) {
      const kernel = packHalf(tensorOf(transposed ? transpose(product.kernel) : product.kernel), 'float16');
      if (!transposed) {
        await expectClose(loraMatMul({...tensorsOf(product), kernel}), forward(rounded).data);
      }
      const inputs = {dy: tensorOf(dy), kernel, ...adapter};
      await expectClose(activationGrad(inputs, transposed), exactDx(rounded, dy).data);
      await expectClose(
        sampledActivationGrad({...inputs, ...sample}, transposed),
        sampledDx(rounded, dy, indices, weights).data,
      );
    }
  });
});

describeShaders('the backward pass of a layer', () => {
  const set = tuningOfTests();
  const [rows, inputs, out, rank] = [40, 64, 96, 4];
  const kernel = () => tf.variable(numbers([inputs, out], 2).tensor, false);

  function gradientOf(config: object) {
    const gradient = new ActivationGradient({frozenRank: 8, exactEvery: 0, ...config});
    const [x, dy] = [numbers([rows, inputs], 1).tensor, numbers([rows, out], 3).tensor];
    const args = {
      kernel: kernel(),
      loraA: tf.variable(numbers([inputs, rank], 4).tensor),
      loraB: tf.variable(numbers([rank, out], 5).tensor),
      gradient,
    };
    const grads = () => tf.grads((z) => loraMatMul({x: z!, ...args}))([x], dy);
    const dispose = () => {
      gradient.dispose();
      for (const variable of [args.kernel, args.loraA, args.loraB]) variable.dispose();
    };
    return {gradient, grads, dispose};
  }

  it('gathers nothing and makes no tensor of the kept columns [N, k]', async () => {
    const {gradient, grads, dispose} = gradientOf({keep: 0.5});
    tf.dispose(grads());
    const {kept} = gradient.stats;
    expect(kept).to.be.within(1, out - 1);
    const {kernels} = await tf.profile(() => tf.dispose(grads()));
    expect(kernels.map(({name}) => name)).to.include('ApproxActivationGrad');
    for (const {name, outputShapes} of kernels) {
      expect(name).to.not.match(/Gather|Slice|Concat/);
      for (const shape of outputShapes) expect(shape).to.not.deep.equal([rows, kept]);
    }
    dispose();
  });

  it('gives the same bits for the same seed, its sums in parts or not', async () => {
    for (const workgroups of [1, 256]) {
      set({CELORA_CUT_WORKGROUPS: workgroups, CELORA_CUT_LEAST_DEPTH: 32});
      const runs: number[][] = [];
      for (let run = 0; run < 2; run++) {
        const {grads, dispose} = gradientOf({keep: 0.5, seed: 7});
        const [dx] = grads() as [tf.Tensor];
        runs.push(Array.from(await dx.data()));
        dx.dispose();
        dispose();
      }
      expect(runs[1]).to.deep.equal(runs[0]);
    }
  });

  it('is seven passes, forward and back, where no depth is cut', async () => {
    const {grads, dispose} = gradientOf({keep: 0.5});
    tf.dispose(grads());
    // xA and the product; dyBᵀ, dA, dB, dyB₀ᵀ and dx
    expect(await dispatchesOf(grads)).to.equal(7);
    dispose();
  });

  it('computes no more than exact LoRA where nothing is left out', async () => {
    const {grads, dispose} = gradientOf({keep: 1});
    tf.dispose(grads());
    const {kernels} = await tf.profile(() => tf.dispose(grads()));
    expect(kernels.map(({name}) => name)).to.include('ActivationGrad');
    expect(kernels.map(({name}) => name)).to.not.include('ApproxActivationGrad');
    dispose();
  });
});
