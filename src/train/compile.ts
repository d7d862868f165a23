import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {installEarlyFreeing} from '../gradients/early_freeing.ts';
import {installGradientFixes} from '../gradients/fixes/install.ts';
import {compileAhead} from '../kernels/webgpu/compile_ahead.ts';
import {AdamW} from './adamw.ts';
import {layerStates, restoreLayers} from './layer_state.ts';
import {trainableVariables} from './trainer.ts';

export interface CompileReport {
  /** Programs of the GPU that were compiled; 0 on a backend other than webgpu, and where all were there already. */
  pipelines: number;
  milliseconds: number;
}

/**
 * Compiles the GPU programs of a training step ahead, all beside each other and without blocking the thread: on backend
 * webgpu the first step would compile them one by one. Runs the loss, its gradients and a step of `AdamW` on copies without
 * computing anything: weights, selections, counters and the layers' random numbers stay as they are. On other backends it
 * does nothing.
 * @param loss The mean loss of one batch of the shape to come, as in training; it must not read results.
 * @throws Error if nothing in the model is trainable.
 */
export async function compileCELoRA(model: LayersModel, loss: () => tf.Scalar): Promise<CompileReport> {
  const variables = trainableVariables(model);
  if (variables.length === 0) throw new Error(`compileCELoRA: nothing in model ${model.name} is trainable`);
  const start = performance.now();
  const {layers, selections} = await layerStates(model);
  const pipelines = await compileAhead(() => {
    const installed = [installGradientFixes(), installEarlyFreeing()];
    try {
      const {value, grads} = tf.variableGrads(loss, variables);
      tf.dispose([value, ...Object.values(grads)]);
      compileOptimizer(variables);
    } finally {
      for (const one of installed) one.dispose();
      restoreLayers(
        model,
        layers,
        layers.map((_, i) => selections.get(i)),
      );
    }
  });
  return {pipelines, milliseconds: performance.now() - start};
}

function compileOptimizer(variables: readonly tf.Variable[]): void {
  const optimizer = new AdamW(0, {clipNorm: 1});
  const copies = variables.map((variable) => tf.tidy(() => tf.variable(tf.zerosLike(variable))));
  const gradients = copies.map(({name, shape}) => ({name, tensor: tf.zeros(shape)}));
  optimizer.applyGradients(gradients);
  optimizer.dispose();
  tf.dispose([gradients.map(({tensor}) => tensor), copies]);
}
