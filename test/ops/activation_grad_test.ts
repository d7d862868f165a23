import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {activationGrad, approxActivationGrad, packColumns, sampledActivationGrad} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose} from '../backends.ts';
import {approxDx, type Factors} from '../reference/columns.ts';
import {adapterGradient, exactDx, type Product} from '../reference/lora.ts';
import {type Matrix, randomMatrix, transpose} from '../reference/matrix.ts';
import {sampledDx} from '../reference/rows.ts';
import {checkSizes, randomDy, randomProduct, SIZES, type Sizes, tensorOf, title} from './tensors.ts';

/** A and s dy Bᵀ, as the ops take them. */
function adapterOf({loraA, loraB, scale}: Product, dy: Matrix) {
  if (!loraA || !loraB) return {};
  return {loraA: tensorOf(loraA), loraDy: tensorOf(adapterGradient(dy, loraB, scale))};
}

const int32 = (values: number[]) => tf.tensor1d(values, 'int32');

/** Ascending random indices below `size`, at least one. */
const someOf = (size: number, random: () => number): number[] => {
  const some = Array.from({length: size}, (_, i) => i).filter(() => random() < 0.4);
  return some.length > 0 ? some : [Math.floor(random() * size)];
};

async function checkApprox(sizes: Sizes, seed: number): Promise<void> {
  const product = randomProduct(sizes, seed);
  const dy = randomDy(sizes, seed + 1);
  const random = randomStream(seed + 2);
  const indices = someOf(sizes.units, random);
  const frozenRank = Math.floor(random() * 4);
  const factors: Factors | undefined =
    frozenRank > 0
      ? {
          frozenA: randomMatrix(sizes.inputs, frozenRank, random),
          frozenB: randomMatrix(frozenRank, sizes.units, random),
        }
      : undefined;
  const frozen = factors ? {frozenA: tensorOf(factors.frozenA), frozenB: tensorOf(factors.frozenB)} : {};
  const expected = approxDx(product, dy, indices, factors).data;
  for (const transposed of [false, true]) {
    const kernel = tensorOf(transposed ? transpose(product.kernel) : product.kernel);
    const packed = packColumns({kernel, indices: int32(indices), ...frozen}, transposed);
    expect(packed.size).to.be.at.least(indices.length * sizes.inputs);
    const inputs = {dy: tensorOf(dy), indices: int32(indices), packed, ...frozen, ...adapterOf(product, dy)};
    await expectClose(approxActivationGrad(inputs), expected);
  }
}

async function checkSampled(sizes: Sizes, seed: number): Promise<void> {
  const product = randomProduct(sizes, seed);
  const dy = randomDy(sizes, seed + 1);
  const random = randomStream(seed + 2);
  const indices = someOf(sizes.rows, random);
  const weights = indices.map(() => Math.fround(3 * random()));
  const sample = {indices: int32(indices), weights: tf.tensor1d(weights)};
  const expected = sampledDx(product, dy, indices, weights).data;
  for (const transposed of [false, true]) {
    const kernel = tensorOf(transposed ? transpose(product.kernel) : product.kernel);
    const inputs = {dy: tensorOf(dy), kernel, ...sample, ...adapterOf(product, dy)};
    await expectClose(sampledActivationGrad(inputs, transposed), expected);
  }
}

async function checkExact(sizes: Sizes, seed: number): Promise<void> {
  const product = randomProduct(sizes, seed);
  const dy = randomDy(sizes, seed + 1);
  for (const transposed of [false, true]) {
    const kernel = tensorOf(transposed ? transpose(product.kernel) : product.kernel);
    const dx = activationGrad({dy: tensorOf(dy), kernel, ...adapterOf(product, dy)}, transposed);
    await expectClose(dx, exactDx(product, dy).data);
  }
}

describeWithShaders('activation gradients', (backend) => {
  const checks = {
    activationGrad: checkExact,
    'packColumns and approxActivationGrad': checkApprox,
    sampledActivationGrad: checkSampled,
  };
  for (const [name, check] of Object.entries(checks)) {
    describe(name, () => {
      for (const sizes of SIZES) it(`equals the formula: ${title(sizes)}`, () => check(sizes, 5));
      it('equals the formula for any sizes', () => checkSizes(backend, check));
    });
  }

  it('are zero for a zero dy, and for a zero kernel without adapter', async () => {
    const [dy, kernel, indices] = [
      tf.randomNormal([3, 5], 0, 1, 'float32', 1),
      tf.ones([4, 5]),
      int32([1, 3]),
    ];
    for (const inputs of [
      {dy: tf.zerosLike(dy), kernel},
      {dy, kernel: tf.zerosLike(kernel)},
    ]) {
      const packed = packColumns({kernel: inputs.kernel, indices});
      const sample = {indices: int32([0, 2]), weights: tf.ones([2])};
      const nothing = new Float32Array(12);
      await expectClose(activationGrad(inputs), nothing);
      await expectClose(approxActivationGrad({dy: inputs.dy, indices, packed}), nothing);
      await expectClose(sampledActivationGrad({...inputs, ...sample}), nothing);
    }
  });

  describe('errors', () => {
    const zeros = (...shape: number[]) => tf.zeros(shape);
    const wrong = (name: string, wanted: string, shape: string, dtype = 'float32') =>
      `${name} must be a float32 matrix [${wanted}], but is ${dtype} of shape [${shape}]`;

    it('activationGrad names the argument and its value', () => {
      const fails = (inputs: object, message: string, transposed = false) =>
        expect(() => activationGrad({dy: zeros(3, 5), kernel: zeros(4, 5), ...inputs}, transposed)).to.throw(
          `activationGrad: ${message}`,
        );
      fails({dy: zeros(3)}, wrong('dy', 'any, any', '3'));
      fails({dy: tf.zeros([3, 5], 'int32')}, wrong('dy', 'any, any', '3,5', 'int32'));
      fails({kernel: zeros(5, 4)}, wrong('kernel', 'any, 5', '5,4'));
      fails({}, wrong('kernel', '5, any', '4,5'), true);
      fails({loraA: zeros(4, 2)}, 'loraA and loraDy go together');
      fails({loraDy: zeros(3, 2)}, 'loraA and loraDy go together');
      fails({loraA: zeros(4, 2), loraDy: zeros(3, 1)}, wrong('loraDy', '3, 2', '3,1'));
      fails({loraA: zeros(1, 2), loraDy: zeros(3, 2)}, wrong('loraA', '4, any', '1,2'));
    });

    it('packColumns names the argument and its value', () => {
      const fails = (inputs: object, message: string, transposed = false) =>
        expect(() =>
          packColumns({kernel: zeros(4, 5), indices: int32([0, 1]), ...inputs}, transposed),
        ).to.throw(`packColumns: ${message}`);
      const [frozenA, frozenB] = [zeros(4, 2), zeros(2, 5)];
      fails({kernel: zeros(5)}, wrong('kernel', 'any, any', '5'));
      fails({indices: tf.tensor1d([0])}, 'indices must be a int32 vector [any], but is float32 of shape [1]');
      fails({frozenA}, 'frozenA and frozenB go together');
      fails({frozenB}, 'frozenA and frozenB go together');
      fails({frozenA, frozenB: zeros(3, 5)}, wrong('frozenB', '2, 5', '3,5'));
      fails({frozenA: zeros(1, 2), frozenB}, wrong('frozenA', '4, any', '1,2'));
      fails({frozenA, frozenB}, wrong('frozenA', '5, any', '4,2'), true);
    });

    it('approxActivationGrad names the argument and its value', () => {
      const inputs = {dy: zeros(3, 5), indices: int32([0, 1]), packed: zeros(2, 4)};
      const fails = (others: object, message: string) =>
        expect(() => approxActivationGrad({...inputs, ...others})).to.throw(
          `approxActivationGrad: ${message}`,
        );
      const [frozenA, frozenB] = [zeros(4, 2), zeros(2, 5)];
      fails({dy: zeros(3)}, wrong('dy', 'any, any', '3'));
      fails({indices: zeros(2)}, 'indices must be a int32 vector [any], but is float32 of shape [2]');
      fails({packed: zeros(3, 3)}, 'packed must hold 2 · in numbers, but its shape is [3,3]');
      fails({frozenA}, 'frozenA and frozenB go together');
      fails({frozenA, frozenB: zeros(2, 4)}, wrong('frozenB', '2, 5', '2,4'));
      fails({frozenA: zeros(3, 2), frozenB}, wrong('frozenA', '4, any', '3,2'));
      fails({loraA: zeros(4, 2)}, 'loraA and loraDy go together');
      fails({loraA: zeros(4, 2), loraDy: zeros(2, 2)}, wrong('loraDy', '3, 2', '2,2'));
      fails({loraA: zeros(3, 2), loraDy: zeros(3, 2)}, wrong('loraA', '4, any', '3,2'));
    });

    it('sampledActivationGrad names the argument and its value', () => {
      const inputs = {
        dy: zeros(3, 5),
        kernel: zeros(4, 5),
        indices: int32([0, 1]),
        weights: zeros(2) as tf.Tensor1D,
      };
      const fails = (others: object, message: string) =>
        expect(() => sampledActivationGrad({...inputs, ...others})).to.throw(
          `sampledActivationGrad: ${message}`,
        );
      fails({dy: zeros(3)}, wrong('dy', 'any, any', '3'));
      fails({kernel: zeros(4, 6)}, wrong('kernel', 'any, 5', '4,6'));
      fails({indices: zeros(2)}, 'indices must be a int32 vector [any], but is float32 of shape [2]');
      fails({weights: zeros(3)}, 'weights must be a float32 vector [2], but is float32 of shape [3]');
      fails({loraDy: zeros(3, 2)}, 'loraA and loraDy go together');
      fails({loraA: zeros(1, 2), loraDy: zeros(3, 2)}, wrong('loraA', '4, any', '1,2'));
    });
  });
});
