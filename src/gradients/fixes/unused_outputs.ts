import * as tf from '@tensorflow/tfjs-core';
import {replaceMethod, tapeEngine} from '../engine.ts';

/** Zeros for the outputs of a kernel that lead nowhere (of split, unstack, …) made on the device. */
export function fixUnusedOutputs(): () => void {
  const engine = tapeEngine();
  return replaceMethod(engine, 'addTapeNode', (stock) => (kernelName, inputs, outputs, ...rest) => {
    stock.call(engine, kernelName, inputs, outputs, ...rest);
    const node = engine.state.activeTape!.at(-1)!;
    const {gradient} = node;
    if (outputs.length === 1 || !gradient) return;
    node.gradient = function (dys) {
      const whole = dys.map((dy, i) => dy ?? tf.fill(outputs[i]!.shape, 0, outputs[i]!.dtype as 'float32'));
      return gradient.call(this, whole);
    };
  });
}
