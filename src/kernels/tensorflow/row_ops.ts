import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {OpAttr, TensorFlowBackend, TensorFlowOutput} from './backend.ts';

/** tfjs-node's ops that treat numbers one by one, and broadcast vectors along the last axis. */
const ELEMENTWISE = new Set(
  'Abs Add Elu Exp Log Maximum Minimum Mul Neg RealDiv Relu Rsqrt Sigmoid Sqrt Square SquaredDifference Sub Tanh'.split(
    ' ',
  ),
);

export const isElementwise = (name: string): boolean => ELEMENTWISE.has(name);

/** A tensor of a shape of the same data as an op's output, which need not lie in it. */
export function tensorOf(backend: TensorFlowBackend, output: TensorFlowOutput, shape: number[]): TensorInfo {
  const tensor = backend.createOutputTensor({...output, shape});
  backend.tensorMap.get(tensor.dataId).shape = output.shape;
  return tensor;
}

/**
 * The tensor in the shape in which its data lie, if that has the same last side: for an op that takes all others for one, so
 * that it needs no Reshape.
 */
export function asItLies(backend: TensorFlowBackend, tensor: TensorInfo): TensorInfo {
  const {shape} = backend.tensorMap.get(tensor.dataId);
  const fits = tensor.shape.length > 1 && shape.length > 1 && shape.at(-1) === tensor.shape.at(-1);
  return fits ? {...tensor, shape} : tensor;
}

/**
 * The shape in which an op of rows is best run: that of lowest rank which the data of some input has, with the rows of the
 * inputs; undefined for what is no op of rows on these inputs. Those of rank 0 and 1 stand beside every row.
 */
function shapeOfRows(backend: TensorFlowBackend, inputs: TensorInfo[]): number[] | undefined {
  const rows = inputs.filter(({shape}) => shape.length > 1);
  const [first] = rows;
  if (first === undefined || !rows.every(({shape}) => util.arraysEqual(shape, first.shape))) return undefined;
  let best = first.shape;
  for (const {dataId} of rows) {
    const {shape} = backend.tensorMap.get(dataId);
    if (shape.length > 1 && shape.length < best.length && shape.at(-1) === best.at(-1)) best = shape;
  }
  return best;
}

/**
 * Runs an op that treats rows by themselves, and whose outputs have the shape of its rows, in the shape that their data has:
 * a model's activations go from [batch, t, d] to [batch · t, d] and back all the time, and so need no Reshape.
 */
export function runOnRows(
  backend: TensorFlowBackend,
  name: string,
  attrs: OpAttr[],
  inputs: TensorInfo[],
  outputs: number,
): TensorInfo[] {
  const shape = shapeOfRows(backend, inputs);
  const asked = inputs.find((input) => input.shape.length > 1)?.shape;
  if (shape === undefined || asked === undefined || util.arraysEqual(shape, asked)) {
    return backend.executeMultipleOutputs(name, attrs, inputs, outputs);
  }
  const inRows = inputs.map((input) => (input.shape.length > 1 ? {...input, shape} : input));
  const made = backend.binding.executeOp(name, attrs, backend.getInputTensorIds(inRows), outputs);
  return made.map((output) => tensorOf(backend, output, asked));
}
