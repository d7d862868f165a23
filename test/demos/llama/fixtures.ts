import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {parseConfig} from '../../../demos/llama/config.ts';
import {type JsonObject, ModelError, type ModelFiles} from '../../../demos/llama/files.ts';
import {writeSafetensors} from '../../../src/files/safetensors.ts';
import type {Backend} from '../../backends.ts';
import '../../backends.ts'; // makes the backends available

/**
 * Settings for tests as small as these. On wasm tfjs's leak check is off: a clone is a copy there, so the
 * check takes whatever a custom gradient saves, stock Dense's included, for a leak. On webgpu tensors of less
 * than 128 elements are not computed on the CPU: that is not what is to be tested (and its gatherND leaks).
 */
export function settingsFor(backend: Backend) {
  const set = (test: boolean) => {
    if (backend === 'wasm') tf.env().set('IS_TEST', !test);
    if (backend === 'webgpu') tf.env().set('WEBGPU_CPU_FORWARD', !test);
  };
  before(() => set(true));
  after(() => set(false));
}

/** Runs the tests of a suite on one backend. */
export function onBackend(backend: 'cpu' | 'wasm') {
  before(() => tf.setBackend(backend));
  settingsFor(backend);
}

/** A folder of test data beside the project; the suite is skipped, visibly, where it is absent. */
export function dataFolder(name: string): string {
  const folder = fileURLToPath(new URL(`../../../../shared/data/${name}`, import.meta.url));
  before(function () {
    if (!existsSync(folder)) this.skip();
  });
  return folder;
}

/** Model files in memory. */
export function memoryFiles(contents: Record<string, Uint8Array | JsonObject>): ModelFiles {
  const bytesOf = (name: string) => {
    const content = Object.hasOwn(contents, name) ? contents[name]! : undefined;
    return content === undefined || content instanceof Uint8Array
      ? content
      : new TextEncoder().encode(JSON.stringify(content));
  };
  return {
    size: async (name) => bytesOf(name)?.length,
    read: async (name, start = 0, end?) => {
      const bytes = bytesOf(name);
      if (!bytes || (end ?? 0) > bytes.length)
        throw new Error(`test: no bytes ${start} to ${end} of ${name}`);
      return bytes.slice(start, end);
    },
  };
}

export async function expectModelError(promise: Promise<unknown>, message: RegExp) {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, 'it should have been refused').to.be.instanceOf(ModelError);
  expect((error as Error).message).to.match(message);
  expect((error as Error).message).to.not.include('\n');
}

/** A config.json of a very small Llama, with changes. */
export const tinyConfig = (changes: JsonObject = {}): JsonObject => ({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 23,
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  head_dim: 4,
  hidden_act: 'silu',
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: null,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  ...changes,
});

/** Changes of `tinyConfig` that between them take every branch of the architecture. */
export const VARIANTS: Readonly<Record<string, JsonObject>> = {
  'grouped heads, tied head': {},
  'one k and v a head, separate head, all biases': {
    num_key_value_heads: 6,
    tie_word_embeddings: false,
    attention_bias: true,
    mlp_bias: true,
  },
  'one k and v for all, head_dim of its own': {num_key_value_heads: 1, head_dim: 6},
  'llama3 rope scaling': {
    head_dim: 16,
    rope_theta: 100,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    },
  },
  'qwen2 biases': {model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'], tie_word_embeddings: false},
};

export type Tensors = Record<string, {shape: number[]; data: Float32Array}>;

/** Random weights for a config.json, under the names and in the layout of Hugging Face. */
export function randomTensors(json: JsonObject, seed = 1): Tensors {
  const config = parseConfig(json);
  const {hiddenSize: hidden, intermediateSize: wide, vocabSize, headDim, numHeads, numKvHeads} = config;
  let state = seed;
  const random = () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647 - 0.5;
  };
  const tensors: Tensors = {};
  const add = (name: string, shape: number[], scale: number, offset = 0) => {
    const size = shape.reduce((product, length) => product * length, 1);
    tensors[name] = {shape, data: Float32Array.from({length: size}, () => offset + scale * random())};
  };
  const dense = (name: string, units: number, inputs: number, bias: boolean) => {
    add(`${name}.weight`, [units, inputs], 1.5);
    if (bias) add(`${name}.bias`, [units], 1);
  };
  add('model.embed_tokens.weight', [vocabSize, hidden], 2);
  for (let i = 0; i < config.numLayers; i++) {
    const at = (name: string) => `model.layers.${i}.${name}`;
    add(at('input_layernorm.weight'), [hidden], 0.5, 1);
    add(at('post_attention_layernorm.weight'), [hidden], 0.5, 1);
    dense(at('self_attn.q_proj'), numHeads * headDim, hidden, config.qkvBias);
    dense(at('self_attn.k_proj'), numKvHeads * headDim, hidden, config.qkvBias);
    dense(at('self_attn.v_proj'), numKvHeads * headDim, hidden, config.qkvBias);
    dense(at('self_attn.o_proj'), hidden, numHeads * headDim, config.outputBias);
    dense(at('mlp.gate_proj'), wide, hidden, config.mlpBias);
    dense(at('mlp.up_proj'), wide, hidden, config.mlpBias);
    dense(at('mlp.down_proj'), hidden, wide, config.mlpBias);
  }
  add('model.norm.weight', [hidden], 0.5, 1);
  if (!config.tiedHead) add('lm_head.weight', [vocabSize, hidden], 1);
  return tensors;
}

const LETTERS = [...' abcdefghijklmnopqr'];

/** A tokenizer.json of single characters (BPE without merges) and three special tokens, ids 0 to 21. */
export function tinyTokenizer(): JsonObject {
  const special = ['<unk>', '<s>', '</s>'];
  const vocab = Object.fromEntries([...special, ...LETTERS].map((token, id) => [token, id]));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {type: 'Fuse'},
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: [],
    },
  };
}

/** All the files of a tiny model; `changes` replaces some. */
export function tinyModel(
  json: JsonObject = tinyConfig(),
  tensors: Tensors = randomTensors(json),
  changes: Record<string, Uint8Array | JsonObject> = {},
): ModelFiles {
  return memoryFiles({
    'config.json': json,
    'model.safetensors': writeSafetensors(tensors),
    'tokenizer.json': tinyTokenizer(),
    'tokenizer_config.json': {bos_token: '<s>', eos_token: '</s>'},
    ...changes,
  });
}
