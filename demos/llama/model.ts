import * as tfl from '@tensorflow/tfjs-layers';
import {
  type Base,
  CausalAttention,
  celoraDense,
  GatedUnit,
  largestTensor,
  RMSNorm,
  RotaryEmbedding,
} from '../../src/index.ts';
import type {LlamaConfig} from './config.ts';
import {LlamaEmbedding, LlamaHead, LlamaRotary, LlamaTiedHead} from './layers.ts';

type Symbol = tfl.SymbolicTensor;

export interface BuildOptions {
  /** Whether the model takes segments beside ids, for several texts packed into one row. Default false. */
  segments?: boolean;
  /** How the matrices are held, see `CELoRAConfig`; at half precision they are frozen. Default 'float32'. */
  base?: Base;
  /** The most bytes that a tensor may have; a larger embedding or head is held in parts. Default: `largestTensor()`. */
  mostBytes?: number;
}

/** Of how many rows the parts of a table of the vocabulary are, if it is to be in parts. */
function partsOf(
  {vocabSize, hiddenSize}: LlamaConfig,
  {mostBytes = largestTensor()}: BuildOptions,
): {partRows?: number} {
  // float32, as they are on their way to half precision too
  const most = Math.floor(mostBytes / (4 * hiddenSize));
  return most < vocabSize ? {partRows: Math.max(1, most)} : {};
}

/**
 * A Llama as a functional model: `input_ids` int32 [batch, t], t up to maxPositions → logits [batch, t,
 * vocab]. With `segments` it has a second input of that name, int32 [batch, t]: a token sees those of its own segment.
 *
 * Every projection is a stock `tf.layers.dense`, or a frozen one at half precision, and every layer with weights is named as its Hugging Face
 * module (`model.layers.0.self_attn.q_proj`, …). There is no padding mask: pad on the right, where causality
 * makes padding invisible to the tokens before it, or give padding a segment of its own. All weights are zero until they are set (norms: one).
 */
export function buildLlama(config: LlamaConfig, options: BuildOptions = {}): tfl.LayersModel {
  const {segments = false, base = 'float32'} = options;
  const {hiddenSize, numHeads, numKvHeads, headDim, rmsNormEps, qkvBias, mlpBias} = config;
  const table = {inputDim: config.vocabSize, outputDim: hiddenSize, ...partsOf(config, options), base};
  const dense = (name: string, units: number, useBias: boolean, x: Symbol) => {
    const args = {name, units, useBias, kernelInitializer: 'zeros'} as const;
    const frozen = () => celoraDense({...args, rank: 0, keep: 1, base});
    return (base === 'float32' ? tfl.layers.dense(args) : frozen()).apply(x) as Symbol;
  };
  const norm = (name: string, x: Symbol) => new RMSNorm({name, epsilon: rmsNormEps}).apply(x) as Symbol;
  const add = (name: string, a: Symbol, b: Symbol) => tfl.layers.add({name}).apply([a, b]) as Symbol;

  const ids = tfl.input({shape: [null], dtype: 'int32', name: 'input_ids'});
  const segmentIds = segments ? [tfl.input({shape: [null], dtype: 'int32', name: 'segments'})] : [];
  const embedding = new LlamaEmbedding({name: 'model.embed_tokens', ...table});
  const [embedded, tie] = embedding.apply(ids) as [Symbol, Symbol];
  const tables = new LlamaRotary({name: 'model.rotary_emb', ...config}).apply(ids) as Symbol[];
  const rotate = (name: string, x: Symbol) => new RotaryEmbedding({name}).apply([x, ...tables]) as Symbol;

  let x = embedded;
  for (let i = 0; i < config.numLayers; i++) {
    const at = (name: string) => `model.layers.${i}.${name}`;
    const forAttention = norm(at('input_layernorm'), x);
    const q = dense(at('self_attn.q_proj'), numHeads * headDim, qkvBias, forAttention);
    const k = dense(at('self_attn.k_proj'), numKvHeads * headDim, qkvBias, forAttention);
    const v = dense(at('self_attn.v_proj'), numKvHeads * headDim, qkvBias, forAttention);
    const rotated = [rotate(at('self_attn.rotary_q'), q), rotate(at('self_attn.rotary_k'), k)];
    const heads = new CausalAttention({name: at('self_attn'), numHeads, numKvHeads});
    const attended = heads.apply([...rotated, v, ...segmentIds]) as Symbol;
    x = add(
      at('self_attn.residual'),
      x,
      dense(at('self_attn.o_proj'), hiddenSize, config.outputBias, attended),
    );

    const forMlp = norm(at('post_attention_layernorm'), x);
    const gate = dense(at('mlp.gate_proj'), config.intermediateSize, mlpBias, forMlp);
    const up = dense(at('mlp.up_proj'), config.intermediateSize, mlpBias, forMlp);
    const gated = new GatedUnit({name: at('mlp')}).apply([gate, up]) as Symbol;
    x = add(at('mlp.residual'), x, dense(at('mlp.down_proj'), hiddenSize, mlpBias, gated));
  }

  const last = norm('model.norm', x);
  const name = 'lm_head';
  const untied = () =>
    table.partRows
      ? (new LlamaHead({name, ...table}).apply(last) as Symbol)
      : dense(name, config.vocabSize, false, last);
  const logits = config.tiedHead
    ? (new LlamaTiedHead({name, units: config.vocabSize}).apply([last, tie]) as Symbol)
    : untied();
  return tfl.model({inputs: [ids, ...segmentIds], outputs: logits, name: config.modelType});
}
