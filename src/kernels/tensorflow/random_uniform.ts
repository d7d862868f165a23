import {type TensorInfo, tensor2d, util, zeros} from '@tensorflow/tfjs-core';
import {BLOCK, roundKeys} from '../counter_hash.ts';
import type {DeviceRandomUniformAttrs, DropoutMaskAttrs} from '../kernel_names.ts';
import type {TensorFlowBackend} from './backend.ts';
import {runOp} from './run_op.ts';

/** The numbers, or with `mask` what they decide. */
function draw(
  backend: TensorFlowBackend,
  {shape, seed}: DeviceRandomUniformAttrs,
  mask?: {keep: number; kept: number},
): TensorInfo {
  const size = util.sizeFromShape(shape);
  if (size === 0) return zeros(shape);
  const keys = tensor2d(
    Array.from({length: Math.ceil(size / BLOCK)}, (_, block) => roundKeys(seed, block)),
    undefined,
    'int32',
  );
  const [values] = runOp(backend, {
    name: 'RandomUniform',
    integers: [keys],
    counts: {size, mask: mask !== undefined},
    numbers: mask ?? {keep: 1, kept: 1},
    shapes: [shape],
  });
  keys.dispose();
  return values!;
}

export const deviceRandomUniform = (
  backend: TensorFlowBackend,
  _: object,
  attrs: DeviceRandomUniformAttrs,
): TensorInfo => draw(backend, attrs);

export const dropoutMask = (
  backend: TensorFlowBackend,
  _: object,
  {rate, ...attrs}: DropoutMaskAttrs,
): TensorInfo => draw(backend, attrs, {keep: 1 - rate, kept: 1 / (1 - rate)});
