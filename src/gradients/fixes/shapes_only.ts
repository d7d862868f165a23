import type * as tf from '@tensorflow/tfjs-core';
import {replaceGradient, replaceMethod, restoreAll, tapeEngine} from '../engine.ts';

/**
 * Kernels whose gradients read nothing but the shapes of their inputs, and these inputs (undefined = all). Stock tfjs
 * keeps the inputs themselves until the backward pass, on wasm as copies.
 */
const SHAPES_ONLY: Record<string, string[] | undefined> = {
  Add: ['a', 'b'],
  AddN: undefined,
  Concat: undefined,
  Cumsum: ['x'],
  ExpandDims: ['input'],
  Mean: ['x'],
  MirrorPad: ['x'],
  PadV2: ['x'],
  Reshape: ['x'],
  Slice: ['x'],
  Sub: ['a', 'b'],
  Sum: ['x'],
  Tile: ['x'],
};

/** What such a gradient gets instead of a tensor. */
const shapeOf = ({shape, rank, size, dtype}: tf.Tensor): tf.Tensor =>
  ({shape, rank, size, dtype, dispose() {}}) as unknown as tf.Tensor;

/** Saves the shapes alone where a gradient needs no more. */
export function fixShapesOnly(): () => void {
  const engine = tapeEngine();
  const replacements = Object.keys(SHAPES_ONLY).map((kernelName) =>
    replaceGradient(kernelName, () => ({inputsToSave: [], saveAllInputs: false})),
  );
  const saveShapes = replaceMethod(
    engine,
    'addTapeNode',
    (stock) =>
      (name, inputs, outputs, grad, ...rest) => {
        let [saved, attrs] = rest;
        // a custom gradient brings its own function, under the name of a scope
        if (grad === null && name in SHAPES_ONLY) {
          saved = (SHAPES_ONLY[name] ?? Object.keys(inputs)).map((input) => shapeOf(inputs[input]!));
        }
        stock.call(engine, name, inputs, outputs, grad, saved, attrs);
      },
  );
  return restoreAll([...replacements, saveShapes]);
}
