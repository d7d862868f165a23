import * as tf from '@tensorflow/tfjs-core';
import {replaceKernel, replaceMethod, restoreAll} from '../../gradients/engine.ts';
import {sharedInstall} from '../../gradients/shared_install.ts';
import type {TensorFlowBackend, TensorFlowData} from './backend.ts';
import {multiplyMatrices} from './mat_mul.ts';
import {isElementwise, runOnRows} from './row_ops.ts';
import {SmallArrays} from './small_arrays.ts';

/** Further handles of data, by shape: TensorFlow's tensors have one shape each, and share their memory. */
class Shapes {
  /** Of data that has such handles; not weakly, which would cost the garbage collector more than the handles save. */
  private readonly handles = new Map<TensorFlowData, Map<string, number>>();

  constructor(
    private readonly backend: TensorFlowBackend,
    private readonly arrays: SmallArrays,
  ) {}

  /** A handle of the data in another shape. */
  handle(data: TensorFlowData, shape: number[]): number {
    let known = this.handles.get(data);
    if (known === undefined) {
      known = new Map();
      this.handles.set(data, known);
    }
    const key = shape.join();
    let handle = known.get(key);
    if (handle === undefined) {
      handle = this.reshape(data, shape);
      known.set(key, handle);
    }
    return handle;
  }

  private reshape(data: TensorFlowData, shape: number[]): number {
    const {binding} = this.backend;
    const attrs = [
      {name: 'T', type: binding.TF_ATTR_TYPE, value: data.dtype},
      {name: 'Tshape', type: binding.TF_ATTR_TYPE, value: binding.TF_INT32},
    ];
    return this.arrays.withShape(shape, (sides) => {
      const [made] = binding.executeOp('Reshape', attrs, [data.id, sides], 1);
      return made!.id;
    });
  }

  release(data: TensorFlowData): void {
    const known = this.handles.get(data);
    if (known === undefined) return;
    for (const handle of known.values()) this.backend.binding.deleteTensor(handle);
    this.handles.delete(data);
  }
}

/**
 * Makes a backend give tensors of the same data and other shapes the handles they need. This stays: tensors that share
 * their data may outlive the installation.
 */
function shareHandles(backend: TensorFlowBackend): SmallArrays {
  const {getInputTensorIds, disposeData, tensorMap} = backend;
  const arrays = new SmallArrays(backend);
  const shapes = new Shapes(backend, arrays);
  const handleOf = (tensor: tf.TensorInfo): number => {
    // tfjs-node's own numbers of 64 bits are no tensors
    if (tensor.dataId === undefined) return getInputTensorIds.call(backend, [tensor])[0]!;
    const data = tensorMap.get(tensor.dataId);
    if (data.values !== null) arrays.upload(data, tensor.shape);
    if (tf.util.arraysEqual(data.shape, tensor.shape)) return data.id;
    return shapes.handle(data, tensor.shape);
  };
  backend.getInputTensorIds = (tensors) => tensors.map(handleOf);
  backend.disposeData = (dataId, force = false) => {
    const data = tensorMap.has(dataId) ? tensorMap.get(dataId) : undefined;
    if (data !== undefined && (force || data.refCount <= 1)) {
      shapes.release(data);
      arrays.release(data);
    }
    return disposeData.call(backend, dataId, force);
  };
  return arrays;
}

const known = new WeakMap<TensorFlowBackend, SmallArrays>();

function arraysOf(backend: TensorFlowBackend): SmallArrays {
  const arrays = known.get(backend) ?? shareHandles(backend);
  known.set(backend, arrays);
  return arrays;
}

/** A tensor of the same data. */
function share(backend: unknown, {dataId, dtype}: tf.TensorInfo, shape: number[]): tf.TensorInfo {
  (backend as TensorFlowBackend).incRef(dataId);
  return {dataId, shape, dtype};
}

const replaceReshape = () =>
  replaceKernel(tf.Reshape, 'tensorflow', () => ({inputs, attrs, backend}) => {
    const {x} = inputs as {x: tf.TensorInfo};
    const {shape} = attrs as unknown as tf.ReshapeAttrs;
    return share(backend, x, tf.util.inferFromImplicitShape(shape, tf.util.sizeFromShape(x.shape)));
  });

const replaceExpandDims = () =>
  replaceKernel(tf.ExpandDims, 'tensorflow', () => ({inputs, attrs, backend}) => {
    const {input} = inputs as {input: tf.TensorInfo};
    const {dim} = attrs as unknown as tf.ExpandDimsAttrs;
    const shape = [...input.shape];
    shape.splice(dim < 0 ? input.shape.length + 1 + dim : dim, 0, 1);
    return share(backend, input, shape);
  });

const replaceCast = () =>
  replaceKernel(tf.Cast, 'tensorflow', (stock) => (args) => {
    const {x} = args.inputs as {x: tf.TensorInfo};
    const {dtype} = args.attrs as unknown as tf.CastAttrs;
    return x.dtype === dtype ? share(args.backend, x, x.shape) : stock(args);
  });

const replaceMatMul = () =>
  replaceKernel(tf.BatchMatMul, 'tensorflow', (stock) => (args) => {
    const {a, b} = args.inputs as {a: tf.TensorInfo; b: tf.TensorInfo};
    const attrs = args.attrs as unknown as tf.BatchMatMulAttrs;
    return multiplyMatrices(args.backend as TensorFlowBackend, [a, b], attrs) ?? stock(args);
  });

const replaceElementwise = (backend: TensorFlowBackend) =>
  replaceMethod(
    backend,
    'executeSingleOutput',
    (stock) => (name, attrs, inputs) =>
      isElementwise(name)
        ? runOnRows(backend, name, attrs, inputs, 1)[0]!
        : stock.call(backend, name, attrs, inputs),
  );

const install = sharedInstall(() => {
  const backend = tf.backend() as TensorFlowBackend;
  const arrays = arraysOf(backend);
  arrays.open();
  const restore = restoreAll([
    replaceReshape(),
    replaceExpandDims(),
    replaceCast(),
    replaceMatMul(),
    replaceElementwise(backend),
  ]);
  return () => {
    restore();
    arrays.close();
  };
});

/**
 * Spares backend 'tensorflow' operations and uploads. In stock tfjs every reshape, expandDims and cast is an operation of
 * TensorFlow's, and every number among the operands of another one goes from JavaScript to the GPU. With this a reshape
 * shares the data of what it reshapes, as on tfjs's other backends, and so does a cast to the dtype that is there; equal
 * arrays of up to 8 numbers are handed over once; a product of matrices is one, not one of batches; and ops that treat rows
 * by themselves take them in the shape that they have. Results are the same. `setUpTensorFlow` installs it.
 * @returns An installation; when the last one is disposed, tfjs's kernels are its own again.
 * @throws Error unless 'tensorflow' is the current backend.
 */
export function installTensorFlowSharing(): ReturnType<typeof install> {
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(
      `installTensorFlowSharing: the backend must be 'tensorflow', but is '${tf.getBackend()}'`,
    );
  }
  return install();
}
