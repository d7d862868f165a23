import * as tf from '@tensorflow/tfjs-core';
import type {ActivationGradient} from './activation_gradient.ts';
import {replaceMethod, tapeEngine} from './engine.ts';

/** Says how dx of x · variable (or x · variableᵀ) is computed; undefined = as stock tfjs does. */
export type Choose = (
  variable: tf.Variable,
  xShape: number[],
  transposed: boolean,
) => ActivationGradient | undefined;

/** What tfjs names the scope of tf.fused.matMul. */
const FUSED_SCOPE = 'fusedMatMul__op';

/**
 * Gives products of tf.matMul by a rank-2 variable the gradient that `choose` returns, as the tape records them: there
 * the operands are the caller's own, whatever the backend, while a gradient function sees saved copies only.
 * @returns What restores stock tfjs.
 */
export function interceptMatMul(choose: Choose): () => void {
  const engine = tapeEngine();
  return replaceMethod(engine, 'addTapeNode', (stock) => (kernelName, inputs, outputs, ...rest) => {
    stock.call(engine, kernelName, inputs, outputs, ...rest);
    if (kernelName !== tf.BatchMatMul) return;
    const {a, b} = inputs as {a: tf.Tensor; b: tf.Tensor};
    const {transposeA, transposeB} = rest[2] as unknown as {transposeA: boolean; transposeB: boolean};
    // tf.fused.matMul with an activation is recorded as a plain product: that of a direct call stays stock
    const fused = tf.engine().state.scopeStack.some(({name}) => name === FUSED_SCOPE);
    // a reshape shares the variable's data, but is none
    if (fused || transposeA || a.rank !== 2 || b.rank !== 2 || !(b instanceof tf.Variable)) return;
    const chosen = choose(b, a.shape, transposeB);
    if (!chosen) return;
    const frozenData = b.trainable ? undefined : b.dataId;
    const node = engine.state.activeTape!.at(-1)!;
    const {gradient, saved} = node;
    node.gradient = function (dys) {
      const dx = () => chosen.compute(dys[0] as tf.Tensor2D, saved[1]!, frozenData);
      return {...gradient!.call(this, dys), a: dx};
    };
  });
}
