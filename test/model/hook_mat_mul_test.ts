import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {approxActivationGrad, columnScores, packColumns, selectColumns} from '../../src/index.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {dxOf, gradientsOf, productsIn, stockDx, withHook} from './hooked.ts';
import {asStock, describeOnHost, expectSameBits, randomTensor} from './models.ts';

const x = () => randomTensor([6, 24], 1) as tf.Tensor2D;
const dy = () => randomTensor([6, 32], 2) as tf.Tensor2D;
const values = () => randomTensor([24, 32], 3) as tf.Tensor2D;

/** x · W, or x · Vᵀ for V = Wᵀ. */
const product = (kernel: tf.Tensor, transposed: boolean) => (input: tf.Tensor) =>
  tf.matMul(input as tf.Tensor2D, kernel as tf.Tensor2D, false, transposed);

/** A variable that is freed after the test, which variables are not by themselves. */
const variables: tf.Variable[] = [];
function variable(initial: tf.Tensor, trainable: boolean): tf.Variable {
  const made = tf.variable(initial, trainable);
  variables.push(made);
  return made;
}

describeBackends('the gradient hook on tf.matMul', () => {
  afterEach(() => tf.dispose(variables.splice(0)));

  for (const transposed of [false, true]) {
    for (const trainable of [true, false]) {
      const title = `${trainable ? 'trained' : 'frozen'} ${transposed ? 'Wᵀ with transposeB' : 'W'}`;
      it(`approximates dx of x times a variable, forward bit-equal: ${title}`, async () => {
        const w = values();
        const kernel = variable(transposed ? tf.transpose(w) : w, trainable);
        const run = product(kernel, transposed);
        const stock = run(x());
        const exact = await stockDx(run, x(), dy());
        const indices = selectColumns(columnScores(dy(), tf.norm(w, 'euclidean', 0)), 8);
        const expected = approxActivationGrad({dy: dy(), indices, packed: packColumns({kernel: w, indices})});
        await withHook({keep: 0.25, frozenRank: 0}, async (hook) => {
          await expectSameBits(run(x()), stock);
          const found = dxOf(run, x(), dy());
          await expectClose(found, await expected.data(), 1e-5);
          expect((await tf.norm(tf.sub(found, exact)).data())[0]).to.be.above(1);
          expect(hook.stats()).to.deep.equal({
            products: 1,
            backwardPasses: 1,
            approximated: 1,
            multiplyAdds: 6 * 24 * 32,
            savedMultiplyAdds: 6 * 24 * (32 - 8),
          });
        });
      });
    }
  }

  it('keeps the exact weight gradient of a trained variable', async () => {
    for (const transposed of [false, true]) {
      const w = values();
      const kernel = variable(transposed ? tf.transpose(w) : w, true);
      const gradients = () => gradientsOf(() => product(kernel, transposed)(x()), dy(), [kernel]);
      const [stock] = await asStock(gradients);
      const [hooked] = await withHook({keep: 0.25}, gradients);
      await expectSameBits(hooked!, stock!);
    }
  });
});

describeOnHost('the gradient hook on tf.matMul: more', () => {
  afterEach(() => tf.dispose(variables.splice(0)));

  it('tells one variable used both ways apart, as a tied embedding and head', async () => {
    const kernel = variable(randomTensor([32, 32], 3), false);
    const both = (input: tf.Tensor) => product(kernel, true)(product(kernel, false)(input));
    const [input, target] = [randomTensor([6, 32], 1), randomTensor([6, 32], 2)];
    await withHook({keep: 0.5, frozenRank: 2, refreshEvery: 2}, async (hook) => {
      for (let i = 0; i < 4; i++) dxOf(both, input, target);
      expect(hook.stats()).to.include({products: 2, backwardPasses: 8, approximated: 8});
    });
    await withHook({keep: 1}, async (hook) => {
      await expectClose(dxOf(both, input, target), await (await stockDx(both, input, target)).data(), 1e-5);
      expect(hook.stats().products).to.equal(2);
    });
  });

  it('leaves products of anything else to stock tfjs, bit for bit', async () => {
    const w = values();
    const cases: Record<string, (input: tf.Tensor) => tf.Tensor> = {
      'by a tensor': product(w, false),
      'by a result': (input) => product(tf.mul(w, 2), false)(input),
      'with transposeA': (input) =>
        tf.matMul(tf.transpose(input) as tf.Tensor2D, variable(values(), false), true),
      'of a variable by x': (input) =>
        tf.transpose(tf.matMul(variable(tf.transpose(values()), false), input as tf.Tensor2D, false, true)),
      'of rank 3': (input) =>
        tf.reshape(
          tf.matMul(tf.reshape(input, [1, 6, 24]), variable(tf.reshape(values(), [1, 24, 32]), false)),
          [6, 32],
        ),
      'by a reshape of a variable': product(
        tf.reshape(variable(tf.reshape(values(), [32, 24]), false), [24, 32]),
        false,
      ),
      'by a reshape of a variable of rank 3': (input) =>
        product(tf.reshape(variable(tf.reshape(values(), [4, 6, 32]), false), [24, 32]), false)(input),
      attention: (input) => {
        const scores = tf.softmax(tf.matMul(input as tf.Tensor2D, input as tf.Tensor2D, false, true));
        return tf.matMul(tf.matMul(scores as tf.Tensor2D, input as tf.Tensor2D), w);
      },
    };
    for (const [title, run] of Object.entries(cases)) {
      const stock = await stockDx(run, x(), dy());
      await withHook({keep: 0.25, frozenRank: 0}, async (hook) => {
        await expectSameBits(dxOf(run, x(), dy()), stock);
        expect(hook.stats().products, title).to.equal(0);
      });
    }
  });

  it('takes a variable and its reshape for two things', async () => {
    const kernel = variable(values(), false);
    const reshaped = tf.reshape(kernel, [32, 24]);
    const [other, target] = [randomTensor([6, 32], 4), randomTensor([6, 24], 5)];
    const stock = await stockDx(product(reshaped, false), other, target);
    await withHook({keep: 0.25, frozenRank: 2}, async (hook) => {
      dxOf(product(kernel, false), x(), dy());
      await expectSameBits(dxOf(product(reshaped, false), other, target), stock);
      expect(hook.stats()).to.include({products: 1, backwardPasses: 1});
    });
  });

  it('leaves direct calls of tf.fused.matMul stock, with every activation', async () => {
    for (const activation of ['linear', 'relu', 'elu', 'sigmoid'] as const) {
      const [kernel, bias] = [variable(values(), true), variable(randomTensor([32], 4), true)];
      const run = (input: tf.Tensor) =>
        tf.fused.matMul({a: input as tf.Tensor2D, b: kernel as tf.Tensor as tf.Tensor2D, bias, activation});
      const all = () =>
        asStock(() => [dxOf(run, x(), dy()), ...gradientsOf(() => run(x()), dy(), [kernel, bias])]);
      const stock = await all();
      await withHook({keep: 0.25, frozenRank: 0}, async (hook) => {
        for (const [i, gradient] of (await all()).entries()) await expectSameBits(gradient, stock[i]!);
        expect(hook.stats().products, activation).to.equal(0);
      });
    }
  });

  it('computes no gradient of a frozen variable', async () => {
    const kernel = variable(values(), false);
    const input = x();
    const run = () => dxOf(product(kernel, false), input, dy());
    await withHook({keep: 1}, async () => expect(await productsIn(run)).to.equal(2));
  });

  it('does nothing where no tape records', async () => {
    const kernel = variable(values(), false);
    await withHook({}, (hook) => {
      product(kernel, false)(x());
      expect(hook.stats().products).to.equal(0);
    });
  });

  it('asks match for each way of using a variable once', async () => {
    const kernel = variable(randomTensor([24, 24], 3), false);
    const [input, target] = [x(), randomTensor([6, 24], 2)];
    const asked: object[] = [];
    const match = (one: object) => {
      asked.push(one);
      return asked.length === 1;
    };
    await withHook({match, keep: 0.25, frozenRank: 0}, (hook) => {
      for (let i = 0; i < 2; i++) {
        dxOf(product(kernel, false), input, target);
        dxOf(product(kernel, true), input, target);
      }
      const expected = {variable: kernel, xShape: [6, 24], kernelShape: [24, 24]};
      expect(asked).to.deep.equal([expected, expected]);
      expect(hook.stats()).to.include({products: 1, backwardPasses: 2});
    });
  });
});
