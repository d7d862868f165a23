import * as tf from '@tensorflow/tfjs-core';
import {checkpoint, loraMatMul} from '../../src/index.ts';

/** Residual blocks of two LoRA products around a relu: d → 2d → d. */
export interface LoRABlocks {
  /** The mean square of what comes out; with `checked` every block is a checkpoint. */
  loss(checked?: boolean): tf.Scalar;
  /** The adapters. */
  variables: tf.Variable[];
  /** The bytes of one activation [rows, d]. */
  unit: number;
}

export function loraBlocks(count: number, rows: number, d: number, rank: number): LoRABlocks {
  let seed = 1;
  const random = (shape: number[]): tf.Tensor =>
    tf.randomNormal(shape, 0, 1 / Math.sqrt(shape[0]!), 'float32', seed++);
  const variable = (shape: number[]): tf.Variable => tf.tidy(() => tf.variable(random(shape)));
  const x = random([rows, d]);
  const blocks = Array.from({length: count}, () => ({
    frozen: [random([d, 2 * d]), random([2 * d, d])] as const,
    adapters: [
      variable([d, rank]),
      variable([rank, 2 * d]),
      variable([2 * d, rank]),
      variable([rank, d]),
    ] as const,
  }));
  const block =
    ({frozen: [up, down], adapters: [upA, upB, downA, downB]}: (typeof blocks)[number]) =>
    (h: tf.Tensor) =>
      tf.tidy(() => {
        const hidden = tf.relu(loraMatMul({x: h, kernel: up, loraA: upA, loraB: upB}));
        return tf.add(h, loraMatMul({x: hidden, kernel: down, loraA: downA, loraB: downB}));
      });
  return {
    loss(checked = false) {
      let h = x;
      for (const one of blocks) h = checked ? checkpoint(block(one), [h], [...one.adapters]) : block(one)(h);
      return tf.mean(tf.square(h));
    },
    variables: blocks.flatMap(({adapters}) => [...adapters]),
    unit: x.size * 4,
  };
}

/** The gradients of a loss with respect to variables, in their order. */
export function gradientsOf(loss: () => tf.Scalar, variables: tf.Variable[]): tf.Tensor[] {
  const {value, grads} = tf.variableGrads(loss, variables);
  value.dispose();
  return variables.map(({name}) => grads[name]!);
}
