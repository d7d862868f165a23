import * as tfl from '@tensorflow/tfjs-layers';
import {CausalAttention, GatedUnit, RMSNorm, RotaryEmbedding} from '../../src/index.ts';
import type {LlamaConfig} from './config.ts';
import {LlamaEmbedding, LlamaRotary, LlamaTiedHead} from './layers.ts';

type Symbol = tfl.SymbolicTensor;

export interface BuildOptions {
  /** Whether the model takes segments beside ids, for several texts packed into one row. Default false. */
  segments?: boolean;
}

/**
 * A Llama as a functional model: `input_ids` int32 [batch, t], t up to maxPositions → logits [batch, t,
 * vocab]. With `segments` it has a second input of that name, int32 [batch, t]: a token sees those of its own segment.
 *
 * Every projection is a stock `tf.layers.dense`, and every layer with weights is named as its Hugging Face
 * module (`model.layers.0.self_attn.q_proj`, …). There is no padding mask: pad on the right, where causality
 * makes padding invisible to the tokens before it, or give padding a segment of its own. All weights are zero until they are set (norms: one).
 */
export function buildLlama(config: LlamaConfig, {segments = false}: BuildOptions = {}): tfl.LayersModel {
  const {hiddenSize, numHeads, numKvHeads, headDim, rmsNormEps, qkvBias, mlpBias} = config;
  const dense = (name: string, units: number, useBias: boolean, x: Symbol) =>
    tfl.layers.dense({name, units, useBias, kernelInitializer: 'zeros'}).apply(x) as Symbol;
  const norm = (name: string, x: Symbol) => new RMSNorm({name, epsilon: rmsNormEps}).apply(x) as Symbol;
  const add = (name: string, a: Symbol, b: Symbol) => tfl.layers.add({name}).apply([a, b]) as Symbol;

  const ids = tfl.input({shape: [null], dtype: 'int32', name: 'input_ids'});
  const segmentIds = segments ? [tfl.input({shape: [null], dtype: 'int32', name: 'segments'})] : [];
  const embedding = new LlamaEmbedding({
    name: 'model.embed_tokens',
    inputDim: config.vocabSize,
    outputDim: hiddenSize,
  });
  const [embedded, table] = embedding.apply(ids) as [Symbol, Symbol];
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
  const logits = config.tiedHead
    ? (new LlamaTiedHead({name: 'lm_head'}).apply([last, table]) as Symbol)
    : dense('lm_head', config.vocabSize, false, last);
  return tfl.model({inputs: [ids, ...segmentIds], outputs: logits, name: config.modelType});
}
