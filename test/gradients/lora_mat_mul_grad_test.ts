import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  ActivationGradient,
  type CELoRAConfig,
  factorize,
  type LoRAMatMulArgs,
  loraMatMul,
} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {
  matrixOf,
  randomDy,
  randomProduct,
  SIZES,
  type Sizes,
  tensorOf,
  tensorsOf,
  title,
} from '../ops/tensors.ts';
import {approxDx, columnScores, largest, residual} from '../reference/columns.ts';
import {
  exactDx,
  forward,
  gradients,
  type Product,
  type ProductGradients,
  preActivation,
  preActivationGradient,
} from '../reference/lora.ts';
import {add, columnNorms, type Matrix, randomMatrix, scale} from '../reference/matrix.ts';
import {lossOf, passToX} from './passes.ts';

const OPERANDS = ['x', 'kernel', 'bias', 'loraA', 'loraB'] as const;
type Operand = (typeof OPERANDS)[number];

const present = (product: Product): Operand[] => OPERANDS.filter((name) => product[name] !== undefined);

/** The operands as variables, those of `trained` trainable. */
function variablesOf(product: Product, trained: readonly Operand[]): LoRAMatMulArgs {
  const args = tensorsOf(product);
  for (const name of present(product)) args[name] = tf.variable(args[name]!, trained.includes(name));
  return args;
}

/** Gradients of Σ y·dy with respect to the operands of `trained`. */
function gradientsOf(
  args: LoRAMatMulArgs,
  trained: readonly Operand[],
  dy: tf.Tensor,
  formula: (args: LoRAMatMulArgs) => tf.Tensor,
): tf.Tensor[] {
  const variables = trained.map((name) => args[name] as tf.Variable);
  const {grads} = tf.variableGrads(() => lossOf(formula(args), dy), variables);
  return variables.map(({name}) => grads[name]!);
}

/** y = activation(xW + s(xA)B + b) of stock operations. */
function plain({
  x,
  kernel,
  bias,
  loraA,
  loraB,
  scale: s = 1,
  activation = 'linear',
}: LoRAMatMulArgs): tf.Tensor {
  let y: tf.Tensor = tf.matMul(x as tf.Tensor2D, kernel as tf.Tensor2D);
  if (loraA && loraB) {
    const low = tf.matMul(x as tf.Tensor2D, loraA as tf.Tensor2D);
    y = tf.add(y, tf.mul(tf.matMul(low, loraB as tf.Tensor2D), s));
  }
  if (bias) y = tf.add(y, bias);
  return {linear: tf.clone, relu: tf.relu, elu: tf.elu}[activation](y);
}

/** All but the empty one. */
function subsets(names: readonly Operand[]): Operand[][] {
  const sets: Operand[][] = [[]];
  for (const name of names) sets.push(...sets.map((set) => [...set, name]));
  return sets.slice(1);
}

describeBackends('gradient of loraMatMul', () => {
  const small: Sizes = {rows: 5, inputs: 7, units: 6, rank: 3, bias: true};

  describe('exact', () => {
    for (const rank of [0, 3]) {
      it(`equals autodiff of the plain formula, whichever operands are trained, rank ${rank}`, async () => {
        const sizes = {...small, rank};
        const product = randomProduct(sizes);
        const dy = tensorOf(randomDy(sizes));
        for (const trained of subsets(present(product))) {
          const args = {...variablesOf(product, trained), gradient: new ActivationGradient({keep: 1})};
          const expected = gradientsOf(args, trained, dy, plain);
          const actual = gradientsOf(args, trained, dy, loraMatMul);
          for (const [i, gradient] of actual.entries())
            await expectClose(gradient, await expected[i]!.data());
        }
      });
    }

    for (const sizes of SIZES) {
      it(`equals the formula in float64: ${title(sizes)}`, async () => {
        const product = randomProduct(sizes);
        const dy = randomDy(sizes);
        const expected = gradients(product, dy);
        const trained = present(product);
        const actual = gradientsOf(variablesOf(product, trained), trained, tensorOf(dy), loraMatMul);
        for (const [i, name] of trained.entries()) await expectClose(actual[i]!, expected[name]!.data);
      });
    }

    for (const activation of ['relu', 'elu'] as const) {
      it(`goes through ${activation}`, async () => {
        for (const rank of [0, 3]) {
          for (const bias of [false, true]) {
            const product: Product = {...randomProduct({...small, rank, bias}), activation};
            const dy = randomDy(small);
            const expected = gradients(product, dy);
            const trained = present(product);
            const actual = gradientsOf(variablesOf(product, trained), trained, tensorOf(dy), loraMatMul);
            for (const [i, name] of trained.entries()) await expectClose(actual[i]!, expected[name]!.data);
          }
        }
      });
    }

    it('keeps the leading dimensions of x', async () => {
      const product = randomProduct({...small, rows: 6});
      const [args, dy] = [tensorsOf(product), randomDy({...small, rows: 6})];
      const dx = passToX({...args, x: tf.reshape(args.x, [2, 3, 7])}, tf.reshape(tensorOf(dy), [2, 3, 6]));
      expect(dx.shape).to.deep.equal([2, 3, 7]);
      await expectClose(dx, exactDx(product, dy).data);
    });

    it('is zero for a zero dy, and of the adapter alone for a zero kernel', async () => {
      const product = randomProduct(small);
      const dy = randomDy(small);
      await expectClose(passToX(tensorsOf(product), tensorOf(scale(dy, 0))), new Float32Array(35));
      const adapterOnly = {...product, kernel: scale(product.kernel, 0)};
      await expectClose(passToX(tensorsOf(adapterOnly), tensorOf(dy)), exactDx(adapterOnly, dy).data);
    });
  });

  describe('central differences', () => {
    /** Σ y·dy in float64. */
    const loss = (product: Product, dy: Matrix) =>
      forward(product).data.reduce((sum, y, i) => sum + y * dy.data[i]!, 0);
    const moved = (product: Product, name: Operand, direction: Matrix, step: number): Product => ({
      ...product,
      [name]: add(product[name]!, scale(direction, step)),
    });
    const dot = (a: Matrix, b: ArrayLike<number>) => a.data.reduce((sum, v, i) => sum + v * b[i]!, 0);

    for (const activation of ['linear', 'relu', 'elu'] as const) {
      it(`of the float64 formula agree in every element, ${activation}`, async () => {
        const product: Product = {...randomProduct(small, 3), activation};
        const dy = randomDy(small, 4);
        const step = 1e-5;
        // no step crosses the kink of relu
        expect(Math.min(...preActivation(product).data.map(Math.abs))).to.be.above(10 * step);
        const trained = present(product);
        const actual = gradientsOf(variablesOf(product, trained), trained, tensorOf(dy), loraMatMul);
        for (const [i, name] of trained.entries()) {
          const differences = product[name]!.data.map((_, element) => {
            const unit = {
              ...product[name]!,
              data: product[name]!.data.map((_, e) => (e === element ? 1 : 0)),
            };
            const ahead = loss(moved(product, name, unit, step), dy);
            return (ahead - loss(moved(product, name, unit, -step), dy)) / (2 * step);
          });
          await expectClose(actual[i]!, differences);
        }
      });
    }

    for (const activation of ['linear', 'elu'] as const) {
      it(`of loraMatMul itself agree in random directions, ${activation}`, async () => {
        const product: Product = {...randomProduct(small, 5), activation};
        const dy = randomDy(small, 6);
        const trained = present(product);
        const actual = gradientsOf(variablesOf(product, trained), trained, tensorOf(dy), loraMatMul);
        const lossHere = async (moves: Product) =>
          (await lossOf(loraMatMul(tensorsOf(moves)), tensorOf(dy)).data())[0]!;
        const step = 0.02;
        for (const [i, name] of trained.entries()) {
          const {rows, columns} = product[name]!;
          const direction = randomMatrix(rows, columns, randomStream(7 + i));
          const ahead = await lossHere(moved(product, name, direction, step));
          const slope = (ahead - (await lossHere(moved(product, name, direction, -step)))) / (2 * step);
          const expected = dot(direction, await actual[i]!.data());
          // float32 sums of about 30 terms, divided by the step, and the step squared
          expect(slope).to.be.closeTo(expected, 5e-3 * (1 + Math.abs(expected)));
        }
      });
    }
  });

  describe('approximate', () => {
    const wide: Sizes = {rows: 9, inputs: 64, units: 96, rank: 3, bias: true};

    /** Gradients with dx approximated, and those of the formula by hand for the indices selected. */
    async function check(sizes: Sizes, options: Partial<CELoRAConfig>, trained: Operand[], seed = 1) {
      const activation = seed % 2 === 0 ? ('relu' as const) : ('linear' as const);
      const product: Product = {...randomProduct(sizes, seed), activation};
      const dy = randomDy(sizes, seed + 1);
      const dz = preActivationGradient(product, dy);
      const gradient = new ActivationGradient({exactEvery: 0, ...options});
      const args = {...variablesOf(product, trained), gradient};
      const actual = gradientsOf(args, trained, tensorOf(dy), loraMatMul);
      const rank = trained.includes('kernel') ? 0 : gradient.config.frozenRank;
      let factors: {frozenA: Matrix; frozenB: Matrix} | undefined;
      if (rank > 0) {
        const {frozenA, frozenB} = factorize(tensorOf(product.kernel), rank, {seed: gradient.config.seed});
        factors = {frozenA: await matrixOf(frozenA), frozenB: await matrixOf(frozenB)};
      }
      const indices = Array.from(await gradient.indices!.data());
      const scores = columnScores(dz, columnNorms(residual(product.kernel, factors)), gradient.config.score);
      expect(indices).to.deep.equal(largest(scores, gradient.stats.kept));
      const expected: ProductGradients = {
        ...gradients(product, dy),
        x: approxDx(product, dz, indices, factors),
      };
      for (const [i, name] of trained.entries()) await expectClose(actual[i]!, expected[name]!.data);
      // the approximation is one: were dx exact, the comparison above would prove nothing
      const error = add(expected.x, scale(exactDx(product, dz), -1));
      expect(Math.max(...error.data.map(Math.abs))).to.be.above(0.01);
      gradient.dispose();
    }

    for (const score of ['product', 'weight', 'gradient'] as const) {
      it(`equals its formula, indices by score ${score}`, async () => {
        await check(wide, {keep: 0.5, frozenRank: 12, score}, ['x', 'bias', 'loraA', 'loraB']);
        await check(wide, {keep: 0.25, frozenRank: 0, score}, ['x', 'loraA', 'loraB'], 2);
      });
    }

    it('equals its formula without adapter, and with another seed', async () => {
      await check({...wide, rank: 0, bias: false}, {keep: 0.25, frozenRank: 12}, ['x']);
      await check({...wide, rank: 0}, {keep: 0.25, frozenRank: 12, seed: 9}, ['x', 'bias'], 4);
    });

    it('equals its formula with a trained kernel, which has no frozen factors', async () => {
      await check(wide, {keep: 0.5}, ['x', 'kernel', 'bias', 'loraA', 'loraB']);
      await check({...wide, rank: 0}, {keep: 0.25}, ['x', 'kernel'], 2);
    });

    it('equals its formula on odd and degenerate sizes', async () => {
      await check({rows: 5, inputs: 123, units: 123, rank: 3, bias: true}, {frozenRank: 12}, ['x', 'loraA']);
      await check({rows: 7, inputs: 33, units: 257, rank: 5, bias: false}, {frozenRank: 1, keep: 0.1}, ['x']);
      await check({rows: 1, inputs: 9, units: 7, rank: 1, bias: true}, {frozenRank: 1}, ['x', 'loraB']);
      await check({rows: 4, inputs: 1, units: 12, rank: 1, bias: false}, {frozenRank: 0}, ['x']);
      await check({rows: 4, inputs: 6, units: 3, rank: 1, bias: false}, {frozenRank: 0, keep: 0.01}, ['x']);
    });
  });
});
