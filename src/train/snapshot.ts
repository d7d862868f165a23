import * as tf from '@tensorflow/tfjs-core';

/** Values of variables at a moment. They share the memory of the variables until those change. */
export class Snapshot {
  private readonly values: Map<tf.Variable, tf.Tensor>;

  /** @param values Default: those that the variables have. */
  constructor(variables: readonly tf.Variable[], values: readonly tf.Tensor[] = variables) {
    this.values = new Map(variables.map((variable, i) => [variable, tf.keep(tf.clone(values[i]!))]));
  }

  /** Gives the variables these values again. */
  restore(): void {
    for (const [variable, value] of this.values) variable.assign(value);
  }

  /** In the order of the variables; owned by the snapshot. */
  get tensors(): tf.Tensor[] {
    return [...this.values.values()];
  }

  dispose(): void {
    tf.dispose([...this.values.values()]);
  }
}
