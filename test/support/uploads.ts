import * as tf from '@tensorflow/tfjs-core';

interface Writer {
  write: (values: ArrayLike<number> | null, shape: number[], dtype: tf.DataType) => object;
}

interface Maker {
  makeTensor: (values: ArrayLike<number>, shape: number[], dtype?: tf.DataType) => tf.Tensor;
}

/** Numbers in the paddings of a tensor of rank 6. */
const LARGEST_ATTRIBUTE = 12;

/**
 * The shapes of the arrays of more than one number that are made in JavaScript while `run` runs: what ops make
 * (`engine().makeTensor`) on every backend, and what WebGPU's kernels make (`backend.write`; on cpu and wasm the same
 * call is how every kernel makes its result). Not what tfjs-node's kernels hand to TensorFlow's as tensors of their own:
 * shapes, axes and paddings.
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
  const note = (values: ArrayLike<number> | null | undefined, shape: number[], dtype?: tf.DataType): void => {
    const isAttribute = onTensorFlow && dtype === 'int32' && values && values.length <= LARGEST_ATTRIBUTE;
    if (values && values.length > 1 && !isAttribute) shapes.push([...shape]);
  };
  const engine = tf.engine() as unknown as Maker;
  const backend = tf.backend() as unknown as Writer;
  const {makeTensor} = engine;
  const {write} = backend;
  const onDevice = tf.getBackend() === 'webgpu';
  const onTensorFlow = tf.getBackend() === 'tensorflow';
  engine.makeTensor = function (values, shape, dtype) {
    if (!onDevice) note(values, shape, dtype);
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
