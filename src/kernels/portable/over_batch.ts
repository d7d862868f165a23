import * as tf from '@tensorflow/tfjs-core';

/** The members of a batch; by halves, since every slice on wasm first copies the whole of what it slices. */
function members(x: tf.Tensor): tf.Tensor[] {
  const size = x.shape[0]!;
  if (size === 1) return [x];
  return tf.split(x, [size >> 1, size - (size >> 1)]).flatMap(members);
}

/**
 * f of batches [n, .., ..], whose members it treats alike: on wasm, which multiplies a pair of matrices at 36 GFLOP/s but
 * a batch of them at 2, it gets them one by one. A batch of fewer members than the first has each of its own serve as
 * many consecutive ones of the others.
 */
export function overBatch<T extends tf.Tensor[]>(f: (batches: T) => tf.Tensor[], batches: T): tf.Tensor[] {
  if (tf.getBackend() !== 'wasm') return f(batches);
  const inputs = batches.map(members);
  const count = inputs[0]!.length;
  const outputs = inputs[0]!.map((_, i) =>
    tf.tidy(() => f(inputs.map((parts) => parts[Math.floor((i * parts.length) / count)]!) as T)),
  );
  return outputs[0]!.map((_, i) => tf.concat(outputs.map((parts) => parts[i]!)));
}
