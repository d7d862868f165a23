import * as tf from '@tensorflow/tfjs-core';

/** Both of what tfjs-node's binding has that costs time on the device. */
interface Binding {
  executeOp(name: string, ...others: unknown[]): unknown;
  createTensor(shape: number[], ...others: unknown[]): unknown;
}

/** What backend 'tensorflow' did since the watch began. */
export interface OpsWatch {
  /** The names of the TensorFlow ops that ran, in their order. */
  ops: string[];
  /** The shapes of the arrays that were handed from JavaScript to TensorFlow. */
  uploads: number[][];
  /** Forgets both. */
  reset(): void;
  dispose(): void;
}

/** Watches the current backend from now until `dispose`; undefined if that is not 'tensorflow'. */
export function watchOps(): OpsWatch | undefined {
  if (tf.getBackend() !== 'tensorflow') return undefined;
  const backend = tf.backend() as unknown as {binding: Binding};
  const {binding} = backend;
  const ops: string[] = [];
  const uploads: number[][] = [];
  const run: Binding['executeOp'] = (name, ...others) => {
    ops.push(name);
    return binding.executeOp(name, ...others);
  };
  const upload: Binding['createTensor'] = (shape, ...others) => {
    uploads.push(shape);
    return binding.createTensor(shape, ...others);
  };
  // its own properties can only be read
  backend.binding = Object.create(binding, {executeOp: {value: run}, createTensor: {value: upload}});
  return {
    ops,
    uploads,
    reset() {
      ops.length = 0;
      uploads.length = 0;
    },
    dispose() {
      backend.binding = binding;
    },
  };
}
