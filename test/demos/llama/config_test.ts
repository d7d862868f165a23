import {expect} from 'chai';
import {parseConfig} from '../../../demos/llama/config.ts';
import {type JsonObject, ModelError} from '../../../demos/llama/files.ts';
import {tinyConfig} from './fixtures.ts';

const LLAMA3_SCALING = {
  factor: 32,
  high_freq_factor: 4,
  low_freq_factor: 1,
  original_max_position_embeddings: 8192,
};

const without = (key: string) => {
  const {[key]: _, ...rest} = tinyConfig();
  return rest;
};

describe('config.json of a Llama', () => {
  it('is read with its defaults', () => {
    const bare = {
      model_type: 'llama',
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
    };
    expect(parseConfig(bare)).to.deep.equal({
      modelType: 'llama',
      vocabSize: 32000,
      hiddenSize: 4096,
      intermediateSize: 11008,
      numLayers: 32,
      numHeads: 32,
      numKvHeads: 32,
      headDim: 128,
      maxPositions: 2048,
      rmsNormEps: 1e-6,
      ropeTheta: 10000,
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
      tiedHead: false,
      eosIds: [],
    });
  });

  it('may say the rotary settings in the style of transformers 4 or 5', () => {
    const ropeScaling = {factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192};
    for (const changes of [
      {rope_theta: 500000, rope_scaling: {rope_type: 'llama3', ...LLAMA3_SCALING}},
      {rope_theta: 500000, rope_scaling: {type: 'llama3', ...LLAMA3_SCALING}},
      {rope_theta: undefined, rope_parameters: {rope_type: 'llama3', rope_theta: 500000, ...LLAMA3_SCALING}},
    ]) {
      expect(parseConfig(tinyConfig(changes))).to.deep.include({ropeTheta: 500000, ropeScaling});
    }
    const plain = parseConfig({
      ...without('rope_scaling'),
      rope_parameters: {rope_type: 'default', rope_theta: 5000},
    });
    expect(plain).to.include({ropeTheta: 5000}).and.not.have.property('ropeScaling');
  });

  it('may name one token that ends a text, several or none', () => {
    for (const [given, ids] of [
      [7, [7]],
      [
        [7, 9],
        [7, 9],
      ],
      [null, []],
    ] as const) {
      expect(parseConfig(tinyConfig({eos_token_id: given}))).to.deep.include({eosIds: ids});
    }
    expect(parseConfig(tinyConfig({bos_token_id: null}))).to.not.have.property('bosId');
  });

  it('gives qwen2 its biases and llama those it asks for', () => {
    const biases = (json: JsonObject) => {
      const {qkvBias, outputBias, mlpBias} = parseConfig(json);
      return [qkvBias, outputBias, mlpBias];
    };
    const qwen2 = {model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'], use_sliding_window: false};
    expect(biases(tinyConfig(qwen2))).to.deep.equal([true, false, false]);
    expect(biases(tinyConfig({attention_bias: true}))).to.deep.equal([true, true, false]);
    expect(biases(tinyConfig({mlp_bias: true}))).to.deep.equal([false, false, true]);
  });

  const refused: [JsonObject, string][] = [
    [{model_type: 'mistral'}, 'model_type "mistral"'],
    [{model_type: undefined}, 'model_type is missing'],
    [{architectures: ['LlamaForSequenceClassification']}, 'architectures ["LlamaForSequenceClassification"]'],
    [{hidden_act: 'gelu'}, 'hidden_act "gelu"'],
    [{rope_scaling: {type: 'linear', factor: 2}}, 'rope_scaling type "linear"'],
    [{rope_scaling: {rope_type: 'dynamic', factor: 2}}, 'rope_scaling type "dynamic"'],
    [{rope_parameters: {rope_type: 'yarn', rope_theta: 10000, factor: 4}}, 'rope_parameters type "yarn"'],
    [{rope_parameters: {rope_theta: 10000, partial_rotary_factor: 0.5}}, 'partial_rotary_factor 0.5'],
    [{rope_scaling: {rope_type: 'llama3', factor: 8}}, 'rope_scaling.low_freq_factor is missing'],
    [
      {rope_scaling: {rope_type: 'llama3', ...LLAMA3_SCALING, high_freq_factor: 1}},
      'rope_scaling.high_freq_factor 1 must be above low_freq_factor 1',
    ],
    [{rope_scaling: 'linear'}, 'rope_scaling must be an object or null, not "linear"'],
    [{rope_interleaved: true}, 'rope_interleaved true'],
    [{quantization_config: {quant_method: 'gptq', bits: 4}}, 'quantization_config "gptq"'],
    [{use_sliding_window: true}, 'use_sliding_window true'],
    [{layer_types: ['full_attention', 'sliding_attention']}, 'layer_types "sliding_attention"'],
    [{hidden_size: undefined}, 'hidden_size is missing'],
    [{hidden_size: '12'}, 'hidden_size must be a number above 0, not "12"'],
    [{num_hidden_layers: 0}, 'num_hidden_layers must be a number above 0, not 0'],
    [{vocab_size: 10.5}, 'vocab_size must be a whole number, not 10.5'],
    [{rms_norm_eps: -1}, 'rms_norm_eps must be a number above 0, not -1'],
    [{num_key_value_heads: 4}, 'num_attention_heads 6 is not a multiple of num_key_value_heads 4'],
    [{head_dim: 5}, 'head_dim 5 must be even'],
    [{tie_word_embeddings: 'yes'}, 'tie_word_embeddings must be true or false, not "yes"'],
    [{eos_token_id: 23}, 'eos_token_id must be a token id below vocab_size 23, not 23'],
  ];
  for (const [changes, message] of refused) {
    it(`is refused: ${message}`, () => {
      expect(() => parseConfig(tinyConfig(changes))).to.throw(ModelError, `config.json: ${message}`);
    });
  }
});
