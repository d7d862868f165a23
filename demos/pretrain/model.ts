import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {seedFor} from '../../src/random.ts';
import type {LlamaConfig} from '../llama/config.ts';
import type {JsonObject} from '../llama/files.ts';
import {buildLlama} from '../llama/model.ts';
import type {PretrainOptions} from './options.ts';
import {vocabSize} from './tokenizer.ts';

/** config.json of a model of these options. @param merges Of its tokenizer. */
export const configJson = (options: PretrainOptions, merges: number): JsonObject => ({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: vocabSize(merges),
  hidden_size: options.hidden,
  intermediate_size: options.intermediate,
  num_hidden_layers: options.layers,
  num_attention_heads: options.heads,
  num_key_value_heads: options['kv-heads'],
  hidden_act: 'silu',
  max_position_embeddings: options.seq,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 1,
  torch_dtype: 'float16',
});

/** Of every matrix at the start, as GPT-2's (Radford et al. 2019, section 2.3). */
const DEVIATION = 0.02;

/**
 * A Llama with random weights: normal, and smaller where a block adds to the residual stream, so that its variance does
 * not grow with the depth. Norms are one.
 */
export function randomLlama(config: LlamaConfig, seed: number): LayersModel {
  const model = buildLlama(config);
  for (const layer of model.layers) {
    const deviation = /\.(o|down)_proj$/.test(layer.name)
      ? DEVIATION / Math.sqrt(2 * config.numLayers)
      : DEVIATION;
    for (const weight of layer.weights) {
      const shape = weight.shape as number[];
      if (shape.length < 2) continue;
      tf.tidy(() => {
        weight.write(tf.randomNormal(shape, 0, deviation, 'float32', seedFor(layer.name, seed)));
      });
    }
  }
  return model;
}
