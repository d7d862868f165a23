/**
 * Says, as JSON, the peak of memory of the gradient of 16 LoRA blocks, in activations, and whether the gradients have
 * the bits of stock tfjs's. In a process of its own, where no layer holds the gradient fixes; run by peaks_test.ts.
 */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import {installEarlyFreeing, installGradientFixes} from '../../src/index.ts';
import {peakBytes} from '../support/peak.ts';
import {gradientsOf, loraBlocks} from './lora_blocks.ts';

const INSTALLED = {
  stock: [],
  fixes: [installGradientFixes],
  freeing: [installEarlyFreeing],
  both: [installGradientFixes, installEarlyFreeing],
};

const report: Record<string, unknown> = {};
for (const backend of ['cpu', 'wasm']) {
  await tf.setBackend(backend);
  const {loss, variables, unit} = loraBlocks(16, 64, 64, 2);
  let expected: string | undefined;
  for (const [title, installers] of Object.entries(INSTALLED)) {
    const installations = installers.map((install) => install());
    for (const checked of [false, true]) {
      let grads: tf.Tensor[] = [];
      const peak = peakBytes(() => {
        grads = gradientsOf(() => loss(checked), variables);
      });
      const values = JSON.stringify(grads.map((grad) => [...grad.dataSync()]));
      expected ??= values;
      report[`${backend}, ${title}${checked ? ', checkpoints' : ''}`] = {
        peak: Math.round(peak / unit),
        same: values === expected,
      };
      tf.dispose(grads);
    }
    for (const installation of installations) installation.dispose();
  }
  tf.dispose(variables);
}
console.log(JSON.stringify(report));
