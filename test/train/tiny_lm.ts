import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {CausalAttention, GatedUnit, RMSNorm} from '../../src/index.ts';

type Symbol = tfl.SymbolicTensor;

export interface TinyOptions {
  vocab?: number;
  blocks?: number;
  /** Whether it takes segments as a second input. */
  segments?: boolean;
  /** Of stock Dropout layers in the blocks. */
  dropout?: number;
}

/** A causal language model of two heads, hidden size 8: ids [batch, t], maybe segments → logits [batch, t, vocab]. */
export function tinyLM({
  vocab = 11,
  blocks = 2,
  segments = false,
  dropout = 0,
}: TinyOptions = {}): tfl.LayersModel {
  let seed = 0;
  const initializer = () => tfl.initializers.randomNormal({stddev: 0.4, seed: ++seed});
  const dense = (name: string, units: number, x: Symbol) =>
    tfl.layers.dense({name, units, kernelInitializer: initializer()}).apply(x) as Symbol;
  const add = (name: string, a: Symbol, b: Symbol) => tfl.layers.add({name}).apply([a, b]) as Symbol;
  const ids = tfl.input({shape: [null], dtype: 'int32', name: 'ids'});
  const numbers = tfl.input({shape: [null], dtype: 'int32', name: 'segments'});
  let x = tfl.layers
    .embedding({
      ...{name: 'embed', inputDim: vocab, outputDim: 8, trainable: false},
      embeddingsInitializer: initializer(),
    })
    .apply(ids) as Symbol;
  for (let i = 0; i < blocks; i++) {
    const at = (name: string) => `layers.${i}.${name}`;
    const normed = new RMSNorm({name: at('norm')}).apply(x) as Symbol;
    const qkv = ['q', 'k', 'v'].map((name) => dense(at(`${name}_proj`), 8, normed));
    const attention = new CausalAttention({name: at('attention'), numHeads: 2});
    let attended = attention.apply(segments ? [...qkv, numbers] : qkv) as Symbol;
    if (dropout > 0) {
      attended = tfl.layers.dropout({name: at('dropout'), rate: dropout}).apply(attended) as Symbol;
    }
    x = add(at('attended'), x, dense(at('o_proj'), 8, attended));
    const gated = ['gate', 'up'].map((name) => dense(at(`${name}_proj`), 12, x));
    const hidden = new GatedUnit({name: at('mlp')}).apply(gated) as Symbol;
    x = add(at('out'), x, dense(at('down_proj'), 8, hidden));
  }
  const logits = dense('head', vocab, x);
  return tfl.model({inputs: segments ? [ids, numbers] : ids, outputs: logits, name: 'tiny'});
}

/** int32 tensor of token ids that repeat. */
export const idsOf = (rows: number, length: number, vocab = 11, shift = 0): tf.Tensor2D =>
  tf.tensor2d(
    Int32Array.from({length: rows * length}, (_, i) => (i * i + shift) % vocab),
    [rows, length],
    'int32',
  );
