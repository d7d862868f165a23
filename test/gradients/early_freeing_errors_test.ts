import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {tapeEngine} from '../../src/gradients/engine.ts';
import {expectNoLeaks} from '../backends.ts';
import {describeOnHost, randomTensor} from '../model/models.ts';
import {freeing} from './freeing.ts';

/** What goes wrong, and what stock tfjs says then. */
const twice = (x: tf.Tensor): tf.Tensor => tf.mul(tf.exp(x), 2);
const FAILURES: Record<string, (x: tf.Tensor) => unknown> = {
  'no xs': (x) => tapeEngine().gradients(() => twice(x), []),
  'dy of integers': (x) => tf.grad(twice)(x, tf.ones([3], 'int32')),
  'dy of another shape': (x) => tf.grad(twice)(x, tf.ones([4])),
  'no tensor': (x) => tf.grad((input) => [twice(input)] as unknown as tf.Tensor)(x),
  'no connection': (x) => tf.grad(() => twice(tf.ones([2])))(x),
  'no connection of one of two': (x) => tf.grads((a) => twice(a!))([x, tf.ones([2])]),
  'no variable': (x) => tf.variableGrads(() => tf.sum(twice(x)) as tf.Scalar, [tf.variable(tf.ones([2]))]),
  'no scalar': (x) => {
    const w = tf.variable(x);
    try {
      return tf.variableGrads(() => twice(w) as tf.Scalar, [w]);
    } finally {
      w.dispose();
    }
  },
  'no gradient of a kernel': (x) => tf.grad((input) => tf.cast(tf.greater(twice(input), 1), 'float32'))(x),
  'a gradient of another dtype': (x) =>
    tf.grad((input) => twice(withGradient(() => tf.ones([3], 'int32'))(input)))(x),
  'a gradient of another shape': (x) => tf.grad((input) => twice(withGradient(() => tf.ones([2]))(input)))(x),
  'too many gradients': (x) => tf.grad((input) => twice(withGradient((dy) => [dy, dy])(input)))(x),
  'no tensors from a gradient': (x) =>
    tf.grad((input) => twice(withGradient(() => 3 as unknown as tf.Tensor)(input)))(x),
  'a function that throws': (x) =>
    tf.grad((input) => {
      twice(input);
      throw new Error('f');
    })(x),
  'a gradient that throws': (x) =>
    tf.grad((input) =>
      twice(
        withGradient((dy) => {
          tf.exp(dy);
          throw new Error('gradFunc');
        })(tf.exp(input)),
      ),
    )(x),
  'a gradient that throws, without a tidy around': (x) =>
    tf.valueAndGrad((input: tf.Tensor) =>
      twice(
        withGradient(() => {
          throw new Error('gradFunc');
        })(input),
      ),
    )(x),
};

const withGradient = (gradFunc: (dy: tf.Tensor) => tf.Tensor | tf.Tensor[]) => {
  const op = tf.customGrad((x) => ({value: tf.mul(x as tf.Tensor, 1), gradFunc}));
  return (x: tf.Tensor): tf.Tensor => op(x);
};

describeOnHost('early freeing, when something is wrong', () => {
  const messageOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      return (error as Error).message;
    }
    return 'nothing thrown';
  };

  for (const [title, fail] of Object.entries(FAILURES)) {
    it(`says what stock tfjs says: ${title}`, async () => {
      const x = randomTensor([3], 1);
      const expected = tf.tidy(() => messageOf(() => fail(x)));
      expect(expected).not.to.equal('nothing thrown');
      expect(await freeing(() => tf.tidy(() => messageOf(() => fail(x))))).to.equal(expected);
    });
  }

  for (const title of [
    'no gradient of a kernel',
    'no connection',
    'a function that throws',
    'a gradient that throws',
    'a gradient that throws, without a tidy around',
  ]) {
    it(`leaves nothing behind, and the next gradient works: ${title}`, async () => {
      const x = tf.keep(randomTensor([3], 1));
      const {state} = tapeEngine();
      state.activeTape = null; // stock tfjs leaves it where it fails
      await freeing(async () => {
        tf.engine().endScope(); // the one that a test runs in would free what is left behind
        try {
          await expectNoLeaks(() => expect(() => FAILURES[title]!(x)).to.throw());
        } finally {
          tf.engine().startScope();
        }
        expect(state).to.include({gradientDepth: 0, activeTape: null});
        tf.grad(twice)(x);
      });
      x.dispose();
    });
  }
});
