import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {loadLlama} from '../../../demos/llama/load.ts';
import {llamaFiles} from '../../../demos/llama/save.ts';
import {applyCELoRA, CELoRADense} from '../../../src/index.ts';
import {expectClose, expectNoLeaks} from '../../backends.ts';
import {memoryFiles, onBackend, randomTensors, tinyConfig, tinyModel} from './fixtures.ts';

const logitsOf = (model: LayersModel): tf.Tensor =>
  tf.tidy(() => model.apply(tf.tensor2d([[1, 2, 3]], undefined, 'int32')) as tf.Tensor);

/** An adapter that changes something. */
function adapt(model: LayersModel): void {
  applyCELoRA(model, {target: /_proj$/, rank: 2});
  for (const layer of model.layers) {
    if (!(layer instanceof CELoRADense)) continue;
    const {loraB} = layer.adapters.active!;
    tf.tidy(() => {
      loraB.write(tf.fill(loraB.shape as number[], 0.1));
    });
  }
}

describe('llamaFiles', () => {
  onBackend('cpu');

  const UNTIED = tinyConfig({tie_word_embeddings: false, attention_bias: true});
  for (const [what, config, options] of [
    ['a tied head', tinyConfig(), {}],
    ['a head of its own, and biases', UNTIED, {}],
    ['tables in parts', UNTIED, {mostBytes: 300}],
    ['half precision', tinyConfig(), {base: 'float16'}],
    ['half precision, tables in parts', UNTIED, {base: 'bfloat16', mostBytes: 300}],
  ] as const) {
    it(`hold a model with its adapter merged, and leave it as it was: ${what}`, async () => {
      const source = tinyModel(config, randomTensors(config));
      const {model} = await loadLlama(source, options);
      const base = await logitsOf(model).data();
      adapt(model);
      const expected = await logitsOf(model).data();
      expect(Math.abs(expected[0]! - base[0]!)).to.be.above(1e-3);
      let files: Awaited<ReturnType<typeof llamaFiles>> = {};
      await expectNoLeaks(async () => {
        files = await llamaFiles(model, source);
      });
      expect(await logitsOf(model).data()).to.deep.equal(expected);
      expect(files).to.have.all.keys(
        'config.json',
        'model.safetensors',
        'tokenizer.json',
        'tokenizer_config.json',
      );
      const again = await loadLlama(memoryFiles(files));
      await expectClose(logitsOf(again.model), expected);
      model.dispose();
      again.model.dispose();
    });
  }
});
