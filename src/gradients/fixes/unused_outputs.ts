import * as tf from '@tensorflow/tfjs-core';
import {LoRAMatMul} from '../../kernels/kernel_names.ts';
import {CausalAttention} from '../../kernels/transformer_kernel_names.ts';
import {replaceMethod, tapeEngine} from '../engine.ts';

/** Their gradients read that of their first output alone: the others are made for them. */
const FIRST_ALONE: readonly string[] = [LoRAMatMul, CausalAttention];

/** Zeros for the outputs of a kernel that lead nowhere (of split, unstack, …) made on the device, if they are read. */
export function fixUnusedOutputs(): () => void {
  const engine = tapeEngine();
  return replaceMethod(engine, 'addTapeNode', (stock) => (kernelName, inputs, outputs, ...rest) => {
    stock.call(engine, kernelName, inputs, outputs, ...rest);
    const node = engine.state.activeTape!.at(-1)!;
    const {gradient} = node;
    if (outputs.length === 1 || !gradient) return;
    node.gradient = function (dys) {
      const zeros = (i: number) => tf.fill(outputs[i]!.shape, 0, outputs[i]!.dtype as 'float32');
      const unread = FIRST_ALONE.includes(kernelName) ? dys[0] : undefined;
      return gradient.call(
        this,
        dys.map((dy, i) => dy ?? unread ?? zeros(i)),
      );
    };
  });
}
