import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {tapeEngine} from '../../src/gradients/engine.ts';
import {checkpoint} from '../../src/index.ts';
import {seedStream} from '../../src/random.ts';
import {expectNoLeaks} from '../backends.ts';
import {randomTensor} from '../model/models.ts';
import {describeBothWays, variable} from './checked.ts';

describeBothWays('checkpoint, when something is wrong', () => {
  /** That a gradient fails so, and that the next one works. */
  function expectError(run: () => unknown, message: string): void {
    const {state} = tapeEngine();
    expect(() => tf.tidy(() => void run())).to.throw(message);
    expect(state).to.include({gradientDepth: 0, kernelDepth: 0});
    tf.grad((h: tf.Tensor) => checkpoint((a) => tf.exp(a), [h]))(randomTensor([3], 1));
  }

  it('refuses a trainable variable that was not passed, by name', () => {
    const [x, w] = [variable([3], 1), tf.variable(randomTensor([3], 2), true, 'forgotten_kernel')];
    const block = (h: tf.Tensor) => tf.mul(tf.sin(h), w);
    const loss = () => tf.sum(checkpoint(block, [x])) as tf.Scalar;
    expectError(
      () => tf.variableGrads(loss, [x]),
      'checkpoint: the block uses the trainable variable forgotten_kernel, which is not in variables',
    );
    const returned = () =>
      tf.sum(tf.mul(...(checkpoint((h) => [h, w], [x]) as [tf.Tensor, tf.Tensor]))) as tf.Scalar;
    expectError(() => tf.variableGrads(returned, [x]), 'the trainable variable forgotten_kernel');
    w.trainable = false;
    tf.variableGrads(loss, [x]);
    w.dispose();
  });

  it('finds it below another checkpoint, and lets pass what does not lead to the result', () => {
    const [x, w] = [variable([3], 1), tf.variable(randomTensor([3], 2), true, 'inner_kernel')];
    const inner = (h: tf.Tensor) => tf.mul(h, w);
    const listed = (h: tf.Tensor) => checkpoint(inner, [h], [w]);
    expectError(
      () => tf.variableGrads(() => tf.sum(checkpoint(listed, [x])) as tf.Scalar, [x]),
      'the trainable variable inner_kernel',
    );
    const unused = (h: tf.Tensor) => {
      tf.square(w);
      return tf.exp(h);
    };
    tf.variableGrads(() => tf.sum(checkpoint(unused, [x])) as tf.Scalar, [x]);
    w.dispose();
  });

  it('refuses a block that returns no tensors', () => {
    for (const result of [undefined, 3, [], [tf.ones([1]), null]]) {
      const block = () => result as unknown as tf.Tensor;
      expectError(
        () => tf.grad((h: tf.Tensor) => checkpoint(block, [h]))(tf.ones([1])),
        'checkpoint: block must return a tensor or an array of tensors',
      );
    }
  });

  it('refuses a block that draws more when it is computed again', () => {
    const seed = seedStream(1);
    let runs = 0;
    const block = (h: tf.Tensor) => {
      runs++;
      for (let i = 0; i < runs; i++) seed();
      return tf.exp(h);
    };
    expectError(
      () => tf.grad((h: tf.Tensor) => checkpoint(block, [h]))(tf.ones([1])),
      'draws more random numbers than at first',
    );
  });

  it('passes errors of the block on and leaves no tensors, in either pass', async () => {
    const x = randomTensor([4], 1);
    for (const failing of [1, 2]) {
      let runs = 0;
      const block = (h: tf.Tensor) => {
        const y = tf.mul(tf.exp(h), 2);
        if (++runs === failing) throw new Error(`pass ${failing}`);
        return y;
      };
      const {state} = tapeEngine();
      state.activeTape = null;
      await expectNoLeaks(() => {
        const gradient = tf.grad((h: tf.Tensor) => checkpoint(block, [h]));
        expect(() => tf.tidy(() => void gradient(x))).to.throw(`pass ${failing}`);
        // stock tfjs leaves what it saved on its tape
        for (const {saved} of state.activeTape ?? []) tf.dispose(saved);
      });
      expect(state).to.include({gradientDepth: 0, kernelDepth: 0});
      expect(runs).to.equal(failing);
    }
  });
});
