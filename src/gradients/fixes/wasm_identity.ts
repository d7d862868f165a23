import * as tf from '@tensorflow/tfjs-core';
import {replaceKernel} from '../engine.ts';

interface CountedData {
  incRef(dataId: object): void;
}

/**
 * Backend wasm copies in Identity, hence all that is saved for a gradient, the frozen weights with it; every other
 * backend, and wasm's own Reshape, share the buffer.
 */
export function fixWasmIdentity(): () => void {
  return replaceKernel(tf.Identity, 'wasm', (stock) => (args) => {
    const {x} = args.inputs as {x: tf.TensorInfo};
    if (x.dtype === 'string') return stock(args);
    (args.backend as CountedData).incRef(x.dataId);
    return {dataId: x.dataId, shape: x.shape, dtype: x.dtype};
  });
}
