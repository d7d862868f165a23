import * as tf from '@tensorflow/tfjs-core';

interface Writer {
  write: (values: ArrayLike<number> | null, shape: number[], dtype: tf.DataType) => object;
}

interface Maker {
  makeTensor: (values: ArrayLike<number>, shape: number[], dtype?: tf.DataType) => tf.Tensor;
}

/**
 * The shapes of the arrays of more than one number that are made in JavaScript while `run` runs: what ops make
 * (`engine().makeTensor`) on every backend, and what WebGPU's kernels make (`backend.write`; on cpu and wasm the same
 * call is how every kernel makes its result).
 */
export function uploadsIn(run: () => unknown): number[][] {
  const watch = watchUploads();
  try {
    run();
    return watch.shapes;
  } finally {
    watch.dispose();
  }
}

/** The same from now until `dispose`. */
export function watchUploads(): {shapes: number[][]; dispose(): void} {
  const shapes: number[][] = [];
  const note = (values: ArrayLike<number> | null | undefined, shape: number[]): void => {
    if (values && values.length > 1) shapes.push([...shape]);
  };
  const engine = tf.engine() as unknown as Maker;
  const backend = tf.backend() as unknown as Writer;
  const {makeTensor} = engine;
  const {write} = backend;
  const onDevice = tf.getBackend() === 'webgpu';
  engine.makeTensor = function (values, shape, dtype) {
    if (!onDevice) note(values, shape);
    return makeTensor.call(this, values, shape, dtype);
  };
  if (onDevice) {
    backend.write = function (values, shape, dtype) {
      note(values, shape);
      return write.call(this, values, shape, dtype);
    };
  }
  return {
    shapes,
    dispose() {
      Reflect.deleteProperty(engine, 'makeTensor');
      if (onDevice) Reflect.deleteProperty(backend, 'write');
    },
  };
}
