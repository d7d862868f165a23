import * as tf from '@tensorflow/tfjs-core';
import {replaceMethod, type TapeEngine, type TapeNode, tapeEngine} from './engine.ts';
import {sharedInstall} from './shared_install.ts';
import {backpropagate, disposeSaved, nodesBetween, record} from './tape.ts';

type Gradients = TapeEngine['gradients'];

/** `engine().gradients` as in tfjs-core, but that tensors are freed as soon as they are used. */
const freeingGradients =
  (stock: Gradients): Gradients =>
  (f, xs, dy, allowNoGradients = false) => {
    const {state} = tapeEngine();
    // a gradient that is differentiated itself needs everything until the outer backward pass
    if (state.gradientDepth > 0) return stock.call(tapeEngine(), f, xs, dy, allowNoGradients);
    tf.util.assert(xs.length > 0, () => 'gradients() received an empty list of xs.');
    if (dy != null && dy.dtype !== 'float32') {
      throw new Error(`dy must have 'float32' dtype, but has '${dy.dtype}'`);
    }
    const outer = state.activeTape; // that of a backward pass which calls this from a gradient function
    const tape: TapeNode[] = [];
    let made: tf.Tensor | undefined;
    state.activeTape = tape;
    try {
      const y = record(() => {
        const result = f();
        if (result instanceof tf.Tensor && result.scopeId === state.activeScope!.id) made = result;
        return result;
      });
      tf.util.assert(y instanceof tf.Tensor, () => 'The result y returned by f() must be a tensor.');
      const nodes = nodesBetween(tape, xs, [y]);
      if (!allowNoGradients && nodes.length === 0) {
        throw new Error(
          'Cannot compute gradient of y=f(x) with respect to x. Make sure that the f you passed encloses all ' +
            'operations that lead from x to y.',
        );
      }
      const connected = new Set(nodes.map(({id}) => id));
      disposeSaved(tape.filter(({id}) => !connected.has(id)));
      return tf.tidy('backward', () => {
        const gradients = new Map([[y.id, dy ?? tf.fill(y.shape, 1)]]);
        backpropagate(gradients, nodes, xs, true);
        // as tfjs, undefined for an x that y does not depend on
        return {value: y, grads: xs.map(({id}) => gradients.get(id) as tf.Tensor)};
      });
    } catch (error) {
      made?.dispose();
      throw error;
    } finally {
      disposeSaved(tape);
      state.activeTape = outer;
    }
  };

/**
 * Makes every gradient (`tf.grads`, `tf.variableGrads`, `optimizer.minimize`, `model.fit`) free memory as it goes. Stock
 * tfjs keeps every activation's gradient and every tensor saved for the backward pass until that pass ends; with this
 * each is freed after its last use, and what the result does not depend on before the pass begins. Gradients are the
 * same, bit for bit, and an error leaves no tensors behind. Gradients of gradients keep everything, as in stock tfjs.
 * @returns An installation; when the last one is disposed, tfjs is as it was.
 */
export const installEarlyFreeing = sharedInstall(() =>
  replaceMethod(tapeEngine(), 'gradients', freeingGradients),
);
