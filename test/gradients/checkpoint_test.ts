import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {tapeEngine} from '../../src/gradients/engine.ts';
import {ActivationGradient, checkpoint, loraMatMul} from '../../src/index.ts';
import {expectClose, expectNoLeaks} from '../backends.ts';
import {bits, randomTensor} from '../model/models.ts';
import {type Block, call, describeBothWays, variable} from './checked.ts';
import {gradientsOf} from './lora_blocks.ts';

describeBothWays('checkpoint', () => {
  /** Expects the gradients of a loss to be the same with checkpoints, and that they leave nothing behind. */
  async function expectSame(loss: (checked: boolean) => tf.Scalar, variables: tf.Variable[]): Promise<void> {
    tf.dispose(gradientsOf(() => loss(false), variables)); // WebGPU computes with new small tensors in JavaScript
    const expected = await Promise.all(gradientsOf(() => loss(false), variables).map(bits));
    expect(expected.flat().some((value) => value !== 0)).to.equal(true);
    const found = await Promise.all(gradientsOf(() => loss(true), variables).map(bits));
    expect(found).to.deep.equal(expected);
    await expectNoLeaks(() => tf.dispose(gradientsOf(() => loss(true), variables)));
    expect(tapeEngine().state).to.include({gradientDepth: 0, kernelDepth: 0});
  }

  it('gives the same gradients of inputs and of variables, of blocks one after the other', async () => {
    const x = variable([6, 8], 1);
    const weights = [variable([8, 8], 2), variable([8, 8], 3), variable([8], 4)];
    const block = (w: tf.Variable, bias: tf.Variable) => (h: tf.Tensor) => {
      const normal = tf.mul(h, tf.rsqrt(tf.add(tf.mean(tf.square(h), 1, true), 1e-6)));
      return tf.add(h, tf.relu(tf.add(tf.matMul(normal, w as tf.Tensor2D), bias)));
    };
    const [first, second, bias] = weights as [tf.Variable, tf.Variable, tf.Variable];
    const loss = (checked: boolean) => {
      const [h] = call(checked, block(first, bias), [x], [first, bias]);
      const [y] = call(checked, block(second, bias), [h!], [second, bias]);
      return tf.mean(tf.square(y!)) as tf.Scalar;
    };
    await expectSame(loss, [x, ...weights]);
  });

  it('gives the same gradients within one another', async () => {
    const [x, w] = [variable([4, 5], 1), variable([4, 5], 2)];
    const inner = (h: tf.Tensor) => tf.sin(tf.mul(h, w));
    const loss = (checked: boolean) => {
      const outer = (h: tf.Tensor) => tf.exp(call(checked, inner, [tf.square(h)], [w])[0]!);
      return tf.sum(call(checked, outer, [x], [w])[0]!) as tf.Scalar;
    };
    await expectSame(loss, [x, w]);
  });

  it('gives the same gradients with several inputs and outputs, some unused, some integer', async () => {
    const [a, b] = [variable([3, 4], 1), variable([3, 4], 2)];
    const rows = tf.tensor2d([[2], [0]], [2, 1], 'int32');
    const block: Block = (x, y, indices) => {
      const chosen = tf.mul(tf.slice(x!, [1, 0], [2, 4]), tf.cast(indices!, 'float32'));
      return [tf.mul(x!, y!), chosen, tf.exp(y!)];
    };
    const loss = (checked: boolean) => {
      const [product, chosen] = call(checked, block, [a, b, rows]);
      return tf.add(tf.sum(tf.square(product!)), tf.sum(tf.sin(chosen!))) as tf.Scalar;
    };
    await expectSame(loss, [a, b]);
  });

  it('gives the same gradients where outputs are inputs, twice the same, or a variable', async () => {
    const [x, w] = [variable([2, 3], 1), variable([2, 3], 2)];
    const block: Block = (h) => {
      const y = tf.mul(h!, w);
      return [h!, y, y, w];
    };
    const loss = (checked: boolean) => {
      const [a, b, c, d] = call(checked, block, [tf.exp(x)], [w]);
      return tf.sum(tf.mul(tf.add(tf.square(a!), tf.sin(b!)), tf.mul(c!, tf.square(d!)))) as tf.Scalar;
    };
    await expectSame(loss, [x]);
    // of w the additions come in another order
    const [expected, found] = [false, true].map((checked) => gradientsOf(() => loss(checked), [w])[0]!);
    await expectClose(found!, await expected!.data(), 1e-6);
  });

  it('returns what the block returns, without a gradient too', async () => {
    const x = randomTensor([3, 2], 1);
    const block = (h: tf.Tensor) => [tf.exp(tf.mul(h, 2)), h];
    const expected = await Promise.all(block(x).map(bits));
    await expectNoLeaks(async () => {
      const outputs = checkpoint(block, [x]);
      expect(await Promise.all(outputs.map(bits))).to.deep.equal(expected);
      outputs[0]!.dispose();
    });
    const {value, grad} = tf.valueAndGrad((h: tf.Tensor) => checkpoint((a) => tf.exp(a), [h]))(x);
    expect(await bits(value)).to.deep.equal(await bits(tf.exp(x)));
    expect(await bits(grad)).to.deep.equal(await bits(tf.exp(x)));
  });

  it('runs a block again only for what needs a gradient', async () => {
    const frozen = randomTensor([5, 6], 1);
    const w = variable([6, 6], 2);
    let runs = 0;
    const block = (x: tf.Tensor) => {
      runs++;
      return tf.matMul(tf.matMul(x, w as tf.Tensor2D), w as tf.Tensor2D);
    };
    const other = variable([5, 6], 3);
    const products = async (loss: () => tf.Tensor, variables: tf.Variable[]) => {
      const {kernels} = await tf.profile(() =>
        tf.tidy(() => tf.variableGrads(() => tf.sum(loss()), variables)),
      );
      return kernels.filter(({name}) => name === tf.BatchMatMul).length;
    };
    // forward twice, and dW twice and dx of the second product: not dx of the first
    expect(await products(() => checkpoint(block, [frozen], [w]), [w])).to.equal(2 + 2 + 3);
    expect(runs).to.equal(2);
    runs = 0;
    w.trainable = false;
    expect(await products(() => tf.mul(checkpoint(block, [frozen], [w]), other), [other])).to.equal(2);
    expect(runs).to.equal(1);
  });

  it('gives zeros for a variable that the block does not use, and for an input', async () => {
    const [x, w] = [variable([2], 1), variable([3], 2)];
    const {grads} = tf.variableGrads(() => tf.sum(checkpoint((a) => tf.exp(a), [x, w], [w])), [x, w]);
    expect(await grads[w.name]!.data()).to.deep.equal(new Float32Array(3));
    expect(await bits(grads[x.name]!)).to.deep.equal(await bits(tf.exp(x)));
  });

  it('can be differentiated twice', async () => {
    const x = randomTensor([3], 1);
    const f = (checked: boolean) => (h: tf.Tensor) =>
      tf.sum(call(checked, (a) => tf.mul(tf.exp(a!), tf.square(a!)), [h])[0]!);
    const second = (checked: boolean) =>
      tf.tidy(() => tf.grad((h: tf.Tensor) => tf.sum(tf.square(tf.grad(f(checked))(h))))(x));
    const expected = await second(false).data();
    await expectClose(second(true), expected, 1e-5);
    await expectNoLeaks(() => second(true).dispose());
  });

  it('counts one backward pass of an approximated gradient, and gives the same', async () => {
    const [x, kernel] = [variable([8, 24], 1), randomTensor([24, 32], 2)];
    const run = async (checked: boolean) => {
      const gradient = new ActivationGradient({keep: 0.5, frozenRank: 0, refreshEvery: 2, exactEvery: 0});
      const results: number[][] = [];
      for (let step = 0; step < 3; step++) {
        const block = (h: tf.Tensor) => loraMatMul({x: h, kernel, gradient});
        const loss = () => tf.sum(tf.square(call(checked, block as Block, [x])[0]!)) as tf.Scalar;
        results.push(await bits(gradientsOf(loss, [x])[0]!));
      }
      expect(gradient.stats).to.include({backwardPasses: 3, exactPasses: 0, refreshes: 2});
      gradient.dispose();
      return results;
    };
    expect(await run(true)).to.deep.equal(await run(false));
  });
});
