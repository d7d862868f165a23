import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {tapeEngine} from '../../src/gradients/engine.ts';
import {ActivationGradient, applyCELoRA, loraMatMul} from '../../src/index.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../backends.ts';
import {asStock, bits, mlp, randomTensor, small, train} from '../model/models.ts';
import {freeing} from './freeing.ts';

type Graph = (...xs: tf.Tensor[]) => tf.Tensor;

/** y = a + b, both gradients the very dy. */
const addByAlias = tf.customGrad((a, b) => ({
  value: tf.add(a as tf.Tensor, b as tf.Tensor),
  gradFunc: (dy) => [dy, dy],
}));

/** y = x · w, whose gradient with respect to x is the saved tensor itself. */
const productBySaved = tf.customGrad((x, w, save) => {
  (save as (tensors: tf.Tensor[]) => void)([w as tf.Tensor]);
  return {
    value: tf.mul(x as tf.Tensor, w as tf.Tensor),
    gradFunc: (dy, [saved]) => [saved!, tf.mul(dy, 0)],
  };
});

const ALIASED = 'gradients that are dy itself';

const GRAPHS: Record<string, [Graph, number[][]]> = {
  'shared subexpressions': [
    (x) => {
      const h = tf.exp(tf.mul(x!, 0.1));
      return tf.sum(tf.add(tf.mul(h, h), tf.mul(tf.sin(h), tf.add(h, x!))));
    },
    [[5, 7]],
  ],
  'one tensor as both operands': [(x) => tf.concat([tf.mul(x!, x!), tf.add(x!, x!), x!], 1), [[3, 4]]],
  'kernels with several outputs, some unused': [
    (x) => {
      const [a, , c] = tf.split(x!, 3, 1);
      const [, d, e] = tf.unstack(tf.stack([a!, c!, tf.mul(a!, c!)]));
      return tf.mul(d!, tf.square(e!));
    },
    [[4, 9]],
  ],
  'several operands, one unused': [
    (x, w, bias) => tf.relu(tf.add(tf.matMul(x!, w!), bias!)),
    [[6, 5], [5, 8], [8]],
  ],
  [ALIASED]: [
    (a, b) => {
      const sum = addByAlias(tf.sin(a!), tf.cos(b!));
      return tf.add(tf.mul(sum, sum), addByAlias(a!, sum));
    },
    [
      [3, 3],
      [3, 3],
    ],
  ],
  'a gradient that is what was saved': [
    (x, w) => tf.sum(productBySaved(tf.exp(x!), tf.exp(w!))),
    [
      [4, 2],
      [4, 2],
    ],
  ],
  'norms and softmax': [
    (x) => {
      const {mean, variance} = tf.moments(x!, 1, true);
      const normal = tf.div(tf.sub(x!, mean), tf.sqrt(tf.add(variance, 1e-5)));
      return tf.mean(tf.logSoftmax(tf.mul(normal, tf.softmax(x!))));
    },
    [[6, 10]],
  ],
};

describeBackends('early freeing', (backend) => {
  // WebGPU computes with small tensors in JavaScript, with other bits, for as long as they have not been uploaded
  before(() => {
    if (backend === 'webgpu') tf.env().set('WEBGPU_CPU_FORWARD', false);
  });
  after(() => {
    if (backend === 'webgpu') tf.env().set('WEBGPU_CPU_FORWARD', true);
  });

  for (const [title, [graph, shapes]] of Object.entries(GRAPHS)) {
    const same = `gives the same gradients: ${title}`;
    if (backend === 'tensorflow' && title === ALIASED)
      it.skip(`${same}: stock tfjs frees dy too early there`);
    else
      it(same, async () => {
        const xs = shapes.map((shape, i) => randomTensor(shape, i + 1));
        const gradients = async () => Promise.all(tf.grads(graph)(xs).map(bits));
        await asStock(async () => {
          const expected = await gradients();
          expect(await freeing(gradients)).to.deep.equal(expected);
          for (const x of xs) expect(x.isDisposed).to.equal(false);
        });
      });

    it(`leaves as many tensors: ${title}`, async () => {
      const xs = shapes.map((shape, i) => randomTensor(shape, i + 1));
      const dy = tf.tidy(() => tf.fill(graph(...xs).shape, 2));
      await asStock(() => freeing(() => expectNoLeaks(() => tf.dispose(tf.grads(graph)(xs, dy)))));
      expect(dy.isDisposed).to.equal(false);
    });
  }

  it('gives the same gradients: an x that another x leads through', async () => {
    const run = async () => {
      const a = randomTensor([4, 4], 1);
      const xs = [a];
      const {value, grads} = tapeEngine().gradients(() => {
        const middle = tf.sin(a);
        xs.push(tf.keep(middle));
        return tf.sum(tf.add(tf.exp(middle), tf.mul(middle, a)));
      }, xs);
      return Promise.all([value, ...grads].map(bits));
    };
    const expected = await run();
    expect(expected.length).to.equal(3);
    expect(await freeing(run)).to.deep.equal(expected);
  });

  it('gives the same gradients: our product, approximated, and variables of which one leads nowhere', async () => {
    const [x, kernel] = [randomTensor([8, 24], 1), randomTensor([24, 32], 2)];
    const variables = [[24, 3], [3, 32], [2]].map((shape, i) => tf.variable(randomTensor(shape, i + 3)));
    const [loraA, loraB] = variables as [tf.Variable, tf.Variable, tf.Variable];
    const run = async () => {
      const gradient = new ActivationGradient({keep: 0.5, frozenRank: 0, refreshEvery: 2, exactEvery: 0});
      const results = [];
      for (let step = 0; step < 3; step++) {
        const {value, grads} = tf.variableGrads(() => {
          const y = loraMatMul({x: tf.mul(x, tf.mean(loraA)), kernel, loraA, loraB, gradient});
          return tf.sum(tf.square(y));
        }, variables);
        results.push(await bits(value), ...(await Promise.all(Object.values(grads).map(bits))));
        expect(Object.keys(grads).length).to.equal(2);
        tf.dispose([value, grads]);
      }
      gradient.dispose();
      return results;
    };
    const expected = await run();
    await freeing(async () => {
      expect(await run()).to.deep.equal(expected);
      await expectNoLeaks(run);
    });
    tf.dispose(variables);
  });

  it('gives the same training: fit, and minimize', async () => {
    const losses = () => {
      const model = mlp();
      applyCELoRA(model, small(backend));
      model.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError'});
      return train(model, randomTensor([10, 6], 1), randomTensor([10, 4], 2), 4);
    };
    const minimized = async () => {
      const w = tf.variable(randomTensor([3], 4));
      const optimizer = tf.train.sgd(0.1);
      for (let step = 0; step < 3; step++) optimizer.minimize(() => tf.sum(tf.exp(w)), false, [w]);
      const values = await bits(w);
      w.dispose();
      return values;
    };
    const expected = [await losses(), await minimized()];
    expect(await freeing(async () => [await losses(), await minimized()])).to.deep.equal(expected);
  });

  it('keeps what a gradient of a gradient needs', async () => {
    const f = (x: tf.Tensor) => tf.sum(tf.mul(tf.exp(x), tf.sin(x)));
    const second = (x: tf.Tensor) =>
      tf.tidy(() => tf.grad((a: tf.Tensor) => tf.sum(tf.square(tf.grad(f)(a))))(x));
    const x = randomTensor([3, 5], 1);
    const expected = await bits(second(x));
    await freeing(async () => {
      expect(await bits(second(x))).to.deep.equal(expected);
      await expectNoLeaks(() => second(x).dispose());
    });
  });

  it('lets a gradient function compute gradients: stock tfjs loses its tape there', async () => {
    const square = tf.customGrad((x, save) => {
      (save as (tensors: tf.Tensor[]) => void)([x as tf.Tensor]);
      return {
        value: tf.square(x as tf.Tensor),
        gradFunc: (dy, [saved]) => {
          const {state} = tapeEngine();
          const tape = state.activeTape;
          const inner = tf.grad((a: tf.Tensor) => tf.square(a))(saved!);
          if (state.activeTape !== tape) throw new Error(`the tape is ${state.activeTape}`);
          return tf.mul(dy, inner);
        },
      };
    });
    const run = () =>
      tf.tidy(() => tf.grad((x: tf.Tensor) => tf.sum(tf.exp(square(tf.sin(x)))))(tf.tensor1d([1, 2])));
    expect(run).to.throw('the tape is null');
    await freeing(async () => {
      const derivative = (x: number) => Math.exp(Math.sin(x) ** 2) * 2 * Math.sin(x) * Math.cos(x);
      // a software WebGPU's sine
      await expectClose(run(), [1, 2].map(derivative), 1e-3);
      await expectNoLeaks(() => run().dispose());
    });
  });

  it('leaves tensors alone that are kept or belong to others', async () => {
    await freeing(async () => {
      const outside = tf.ones([2]);
      const kept: tf.Tensor[] = [];
      const scaled = tf.customGrad((x) => ({
        value: tf.mul(x as tf.Tensor, 1),
        gradFunc: () => outside,
      }));
      const tripled = tf.customGrad((x) => ({
        value: tf.mul(x as tf.Tensor, 3),
        gradFunc: (dy) => {
          kept.push(tf.keep(tf.mul(dy, 3)));
          return kept[0]!;
        },
      }));
      const dx = tf.grad((x: tf.Tensor) => tf.sin(tripled(scaled(tf.square(x)))))(tf.tensor1d([0, 0]));
      expect(await outside.data()).to.deep.equal(Float32Array.of(1, 1));
      expect(await kept[0]!.data()).to.deep.equal(Float32Array.of(3, 3));
      expect(await dx.data()).to.deep.equal(Float32Array.of(0, 0));
      tf.dispose(kept);
    });
  });
});
