import type * as tf from '@tensorflow/tfjs-core';
import {util} from '@tensorflow/tfjs-core';
import type {OpAttr, TensorFlowBackend} from './backend.ts';
import {tensorOf} from './row_ops.ts';

const isOneMatrix = ({shape, dtype}: tf.TensorInfo): boolean =>
  dtype === 'float32' && util.sizeFromShape(shape.slice(0, -2)) === 1;

/**
 * A product of two matrices as such. tf.matMul hands every product over as one of batches, so that TensorFlow would first make
 * both matrices batches of one.
 * @returns undefined for batches of several, and for dtypes other than float32.
 */
export function multiplyMatrices(
  backend: TensorFlowBackend,
  [a, b]: [tf.TensorInfo, tf.TensorInfo],
  {transposeA, transposeB}: tf.BatchMatMulAttrs,
): tf.TensorInfo | undefined {
  if (!isOneMatrix(a) || !isOneMatrix(b)) return undefined;
  const {binding} = backend;
  const matrices = [a, b].map((input) => ({...input, shape: input.shape.slice(-2)}));
  const handles = backend.getInputTensorIds(matrices);
  const attrs: OpAttr[] = [
    {name: 'T', type: binding.TF_ATTR_TYPE, value: backend.tensorMap.get(a.dataId).dtype},
    {name: 'transpose_a', type: binding.TF_ATTR_BOOL, value: transposeA},
    {name: 'transpose_b', type: binding.TF_ATTR_BOOL, value: transposeB},
  ];
  const [made] = binding.executeOp('MatMul', attrs, handles, 1);
  const [rows, columns] = made!.shape as [number, number];
  const batch = (a.shape.length > b.shape.length ? a : b).shape.slice(0, -2);
  return tensorOf(backend, made!, [...batch, rows, columns]);
}
