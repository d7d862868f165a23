import * as tf from '@tensorflow/tfjs-core';
import type {LayerVariable} from '@tensorflow/tfjs-layers';
import {floatsOf} from '../ops/half.ts';
import {layoutOf, weightsIn} from './half_variable.ts';

/** Adds something to a kernel and takes it out again. A kernel at half precision is rounded after it. */
export class KernelMerge {
  /** The kernel before, and what identifies it after: it comes back bit for bit. */
  private before: {values: tf.Tensor; mergedData: object} | undefined;

  /** kernel ← kernel + delta(). */
  add(kernel: LayerVariable, delta: () => tf.Tensor): void {
    const values = tf.keep(tf.clone(kernel.read()));
    change(kernel, delta, tf.add);
    this.before = {values, mergedData: kernel.read().dataId};
  }

  /** Undoes `add`: bit for bit, or by subtraction if the sum was loaded or changed since. */
  undo(kernel: LayerVariable, delta: () => tf.Tensor): void {
    if (this.before?.mergedData === kernel.read().dataId) assign(kernel, this.before.values);
    else change(kernel, delta, tf.sub);
    this.dispose();
  }

  /** Frees what `undo` would give back. */
  dispose(): void {
    this.before?.values.dispose();
    this.before = undefined;
  }
}

function change(kernel: LayerVariable, delta: () => tf.Tensor, by: typeof tf.add): void {
  tf.tidy(() => {
    const result = by(floatsOf(weightsIn(kernel)), delta());
    if (layoutOf(kernel)) kernel.write(result);
    else assign(kernel, result);
  });
}

/** Past LayerVariable.write, whose constraint must not clip a frozen kernel. */
const assign = (kernel: LayerVariable, value: tf.Tensor): void =>
  (kernel.read() as tf.Variable).assign(value);
