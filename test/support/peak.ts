import * as tf from '@tensorflow/tfjs-core';

interface Engine {
  state: {tensorInfo: WeakMap<object, {bytes: number}>};
  trackTensor(tensor: tf.Tensor, backend?: object): void;
  removeDataId(dataId: object, backend: object): void;
}

/**
 * The most bytes that buffers made by `run` took at one time. `tf.memory().numBytes` counts a buffer once for every
 * tensor that shares it, and `tf.profile` looks only after whole kernels.
 */
export function peakBytes(run: () => unknown): number {
  const engine = tf.engine() as unknown as Engine;
  const {trackTensor, removeDataId} = engine;
  const live = new Map<object, number>();
  let [total, peak] = [0, 0];
  engine.trackTensor = function (tensor, backend) {
    const known = this.state.tensorInfo.has(tensor.dataId);
    trackTensor.call(this, tensor, backend);
    if (known) return;
    const bytes = tensor.size * tf.util.bytesPerElement(tensor.dtype);
    live.set(tensor.dataId, bytes);
    total += bytes;
    peak = Math.max(peak, total);
  };
  engine.removeDataId = function (dataId, backend) {
    removeDataId.call(this, dataId, backend);
    total -= live.get(dataId) ?? 0;
    live.delete(dataId);
  };
  try {
    run();
    return peak;
  } finally {
    Reflect.deleteProperty(engine, 'trackTensor');
    Reflect.deleteProperty(engine, 'removeDataId');
  }
}
