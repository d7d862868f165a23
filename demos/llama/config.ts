import {isObject, type JsonObject, ModelError} from './files.ts';

/** The stretching of rotary frequencies of Llama 3.1 and later (`rope_type` llama3). */
export type RopeScaling = {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  /** Context length, in tokens, before the stretching. */
  originalMaxPositions: number;
};

/** What of a Hugging Face config.json decides the architecture and its numbers. */
export interface LlamaConfig {
  modelType: 'llama' | 'qwen2';
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  /** Heads of k and v; each serves numHeads / numKvHeads heads of q. */
  numKvHeads: number;
  headDim: number;
  /** Longest sequence, in tokens. */
  maxPositions: number;
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling?: RopeScaling;
  /** Biases on q_proj, k_proj, v_proj. */
  qkvBias: boolean;
  /** Bias on o_proj. */
  outputBias: boolean;
  /** Biases on gate_proj, up_proj, down_proj. */
  mlpBias: boolean;
  /** The head is the embedding's table. */
  tiedHead: boolean;
  bosId?: number;
  /** Tokens that end a text; may be empty. */
  eosIds: number[];
}

const ARCHITECTURES = {llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM'} as const;
const FILE = 'config.json';

const show = (value: unknown) => JSON.stringify(value) ?? String(value);

function refuse(key: string, value: unknown, wants: string): never {
  throw new ModelError(`${FILE}: ${key} ${show(value)} is not supported; ${wants}`);
}

/** A number under `key`; null counts as absent, and then `fallback` holds or the key is missed. */
function number(json: JsonObject, key: string, fallback?: number, where = ''): number {
  const value = json[key] ?? fallback;
  if (value === undefined) throw new ModelError(`${FILE}: ${where}${key} is missing`);
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new ModelError(`${FILE}: ${where}${key} must be a number above 0, not ${show(value)}`);
  }
  return value;
}

function count(json: JsonObject, key: string, fallback?: number, where = ''): number {
  const value = number(json, key, fallback, where);
  if (!Number.isSafeInteger(value)) {
    throw new ModelError(`${FILE}: ${where}${key} must be a whole number, not ${show(value)}`);
  }
  return value;
}

function flag(json: JsonObject, key: string): boolean {
  const value = json[key] ?? false;
  if (typeof value !== 'boolean') {
    throw new ModelError(`${FILE}: ${key} must be true or false, not ${show(value)}`);
  }
  return value;
}

function tokenIds(json: JsonObject, key: string, vocabSize: number): number[] {
  const value = json[key] ?? [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  return ids.map((id) => {
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) return id;
    throw new ModelError(`${FILE}: ${key} must be a token id below vocab_size ${vocabSize}, not ${show(id)}`);
  });
}

/** Both styles: `rope_theta` beside `rope_scaling` (transformers 4), all of it in `rope_parameters` (5). */
function rope(json: JsonObject): Pick<LlamaConfig, 'ropeTheta' | 'ropeScaling'> {
  const key = json.rope_parameters != null ? 'rope_parameters' : 'rope_scaling';
  const given = json[key] ?? {};
  if (!isObject(given)) throw new ModelError(`${FILE}: ${key} must be an object or null, not ${show(given)}`);
  const where = `${key}.`;
  const ropeTheta =
    given.rope_theta != null
      ? number(given, 'rope_theta', undefined, where)
      : number(json, 'rope_theta', 10000);
  const partial = given.partial_rotary_factor ?? json.partial_rotary_factor ?? 1;
  if (partial !== 1) refuse('partial_rotary_factor', partial, 'all of a head is rotated here');
  const type = given.rope_type ?? given.type ?? 'default';
  if (type === 'default') return {ropeTheta};
  if (type !== 'llama3') refuse(`${key} type`, type, "only 'default' and 'llama3' are");
  const ropeScaling = {
    factor: number(given, 'factor', undefined, where),
    lowFreqFactor: number(given, 'low_freq_factor', undefined, where),
    highFreqFactor: number(given, 'high_freq_factor', undefined, where),
    originalMaxPositions: count(given, 'original_max_position_embeddings', undefined, where),
  };
  if (ropeScaling.highFreqFactor <= ropeScaling.lowFreqFactor) {
    throw new ModelError(
      `${FILE}: ${where}high_freq_factor ${ropeScaling.highFreqFactor} must be above ` +
        `low_freq_factor ${ropeScaling.lowFreqFactor}`,
    );
  }
  return {ropeTheta, ropeScaling};
}

function refuseUnknown(json: JsonObject, modelType: keyof typeof ARCHITECTURES) {
  const architecture = ARCHITECTURES[modelType];
  const architectures = json.architectures;
  if (Array.isArray(architectures) && architectures.some((name) => name !== architecture)) {
    refuse('architectures', architectures, `with model_type '${modelType}' only ["${architecture}"] is`);
  }
  const act = json.hidden_act ?? 'silu';
  if (act !== 'silu') refuse('hidden_act', act, "only 'silu' is");
  if (json.quantization_config != null) {
    const method = isObject(json.quantization_config) ? json.quantization_config.quant_method : undefined;
    refuse('quantization_config', method ?? json.quantization_config, 'only fp32, fp16 and bf16 weights are');
  }
  if (flag(json, 'rope_interleaved')) refuse('rope_interleaved', true, 'heads are rotated by halves here');
  if (flag(json, 'use_sliding_window')) refuse('use_sliding_window', true, 'attention is full here');
  const layerTypes = json.layer_types;
  const odd = Array.isArray(layerTypes) ? layerTypes.find((type) => type !== 'full_attention') : undefined;
  if (odd !== undefined) refuse('layer_types', odd, "only 'full_attention' is");
}

/**
 * Reads a Hugging Face config.json of model_type `llama` (Llama 2, Llama 3.x, TinyLlama, SmolLM2 and their
 * kin) or `qwen2`, as transformers 4 or 5 writes it.
 * @throws ModelError naming the key and its value, for whatever this Llama cannot compute.
 */
export function parseConfig(json: JsonObject): LlamaConfig {
  const modelType = json.model_type;
  if (modelType !== 'llama' && modelType !== 'qwen2') {
    if (modelType == null) throw new ModelError(`${FILE}: model_type is missing`);
    refuse('model_type', modelType, "only 'llama' and 'qwen2' are");
  }
  refuseUnknown(json, modelType);

  const hiddenSize = count(json, 'hidden_size');
  const numHeads = count(json, 'num_attention_heads');
  const numKvHeads = count(json, 'num_key_value_heads', numHeads);
  const headDim = count(json, 'head_dim', hiddenSize / numHeads);
  const vocabSize = count(json, 'vocab_size');
  if (numHeads % numKvHeads !== 0) {
    throw new ModelError(
      `${FILE}: num_attention_heads ${numHeads} is not a multiple of num_key_value_heads ${numKvHeads}`,
    );
  }
  if (headDim % 2 !== 0) throw new ModelError(`${FILE}: head_dim ${headDim} must be even to be rotated`);

  const attentionBias = flag(json, 'attention_bias');
  const [bosId] = tokenIds(json, 'bos_token_id', vocabSize);
  return {
    modelType,
    vocabSize,
    hiddenSize,
    intermediateSize: count(json, 'intermediate_size'),
    numLayers: count(json, 'num_hidden_layers'),
    numHeads,
    numKvHeads,
    headDim,
    maxPositions: count(json, 'max_position_embeddings', modelType === 'llama' ? 2048 : 32768),
    rmsNormEps: number(json, 'rms_norm_eps', 1e-6),
    ...rope(json),
    qkvBias: modelType === 'qwen2' || attentionBias,
    outputBias: modelType === 'llama' && attentionBias,
    mlpBias: modelType === 'llama' && flag(json, 'mlp_bias'),
    tiedHead: flag(json, 'tie_word_embeddings'),
    ...(bosId === undefined ? {} : {bosId}),
    eosIds: tokenIds(json, 'eos_token_id', vocabSize),
  };
}
