import {restoreAll} from '../engine.ts';
import {sharedInstall} from '../shared_install.ts';
import {fixDropoutLayer} from './dropout_layer.ts';
import {fixIndices} from './indices.ts';
import {fixRelu} from './relu.ts';
import {fixShapesOnly} from './shapes_only.ts';
import {fixStepKernel} from './step_kernel.ts';
import {fixSumAndMean} from './sum_and_mean.ts';
import {fixTile} from './tile.ts';
import {fixUnusedOutputs} from './unused_outputs.ts';
import {fixWasmIdentity} from './wasm_identity.ts';

const FIXES = [
  fixSumAndMean,
  fixTile,
  fixIndices,
  fixShapesOnly,
  fixRelu,
  fixUnusedOutputs,
  fixStepKernel,
  fixWasmIdentity,
  fixDropoutLayer,
];

/**
 * Makes the gradients of stock tfjs stay on the device. tfjs-core builds arrays of ones, zeros and random numbers in
 * JavaScript and uploads them, the size of an activation: in the gradients of `sum` and `mean` (hence of every loss and
 * norm), for unused outputs of `split` and `unstack`, and for dropout masks. That was 80 % of a training step on a GPU.
 * Values stay as they are, but for the places that dropout drops and the order in which tile's copies are summed. Also the gradient of `tile` takes a few operations
 * instead of two for each copy, at any rank, and gradients that need only the shapes of their inputs (`add`, `concat`,
 * `reshape`, `sum`, …) no longer keep the inputs in memory, nor does relu, and wasm no longer copies what it keeps.
 *
 * CELoRADense (from build to dispose, merge or removal) and `registerCELoRAGradients` hold the fixes while they are in
 * use. Import the backends first: kernels of wasm and tensorflow that are not there yet stay as they are.
 * @returns An installation; when the last one is disposed, tfjs has its own objects back.
 */
export const installGradientFixes = sharedInstall(() => restoreAll(FIXES.map((fix) => fix())));
