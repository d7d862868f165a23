import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import {isFloat, type TensorEntry} from '../../src/files/safetensors.ts';
import {matrixShape} from '../../src/layers/half_variable.ts';
import {overflowError} from '../../src/ops/half.ts';
import {type LlamaConfig, parseConfig} from './config.ts';
import {ModelError, type ModelFiles, readJson} from './files.ts';
import {LlamaEmbedding, LlamaHead} from './layers.ts';
import {type BuildOptions, buildLlama} from './model.ts';
import {readCheckpoint, readTensor} from './safetensors.ts';
import {type LlamaTokenizer, loadTokenizer} from './tokenizer.ts';

export interface LoadedLlama {
  model: LayersModel;
  config: LlamaConfig;
  tokenizer: LlamaTokenizer;
}

export interface LoadOptions extends BuildOptions {
  /** Called after every tensor with the bytes of weights read so far, and of all. */
  onProgress?: (loadedBytes: number, totalBytes: number) => void;
}

/** One weight of a layer and the checkpoint's tensor for it. */
interface Assignment {
  layer: string;
  tensor: string;
  /** The checkpoint's shape; a matrix of a Dense is [out, in] there and [in, out] here. */
  shape: number[];
  transpose: boolean;
}

/** Layer by layer, in the order of each layer's weights. */
function assignments(config: LlamaConfig): Assignment[] {
  const {hiddenSize: hidden, intermediateSize, vocabSize, headDim, qkvBias, outputBias, mlpBias} = config;
  const list: Assignment[] = [];
  const norm = (layer: string) =>
    list.push({layer, tensor: `${layer}.weight`, shape: [hidden], transpose: false});
  const dense = (layer: string, units: number, inputs: number, bias: boolean) => {
    list.push({layer, tensor: `${layer}.weight`, shape: [units, inputs], transpose: true});
    if (bias) list.push({layer, tensor: `${layer}.bias`, shape: [units], transpose: false});
  };
  const embedding = 'model.embed_tokens';
  list.push({layer: embedding, tensor: `${embedding}.weight`, shape: [vocabSize, hidden], transpose: false});
  for (let i = 0; i < config.numLayers; i++) {
    const at = (name: string) => `model.layers.${i}.${name}`;
    norm(at('input_layernorm'));
    dense(at('self_attn.q_proj'), config.numHeads * headDim, hidden, qkvBias);
    dense(at('self_attn.k_proj'), config.numKvHeads * headDim, hidden, qkvBias);
    dense(at('self_attn.v_proj'), config.numKvHeads * headDim, hidden, qkvBias);
    dense(at('self_attn.o_proj'), hidden, config.numHeads * headDim, outputBias);
    norm(at('post_attention_layernorm'));
    dense(at('mlp.gate_proj'), intermediateSize, hidden, mlpBias);
    dense(at('mlp.up_proj'), intermediateSize, hidden, mlpBias);
    dense(at('mlp.down_proj'), hidden, intermediateSize, mlpBias);
  }
  norm('model.norm');
  if (!config.tiedHead) dense('lm_head', vocabSize, hidden, false);
  return list;
}

/** Saved by old versions of transformers though it follows from config.json. */
const DERIVED = /\.rotary_emb\.inv_freq$/;

/** Checks that the checkpoint holds what the model wants, and nothing else, before anything big is read. */
function match(list: Assignment[], checkpoint: Map<string, TensorEntry>, config: LlamaConfig): TensorEntry[] {
  const left = new Map(checkpoint);
  if (config.tiedHead) {
    // Either name may stand for the shared table; where both do they are equal.
    const [table, head] = ['model.embed_tokens.weight', 'lm_head.weight'];
    const shared = left.get(table!) ?? left.get(head!);
    left.delete(head!);
    if (shared) left.set(table!, shared);
  }
  const entries = list.map(({tensor, shape}) => {
    const entry = left.get(tensor);
    if (!entry) throw new ModelError(`tensor '${tensor}' is missing from the checkpoint`);
    if (entry.shape.join() !== shape.join()) {
      throw new ModelError(
        `${entry.file}: tensor '${tensor}' has shape [${entry.shape}] but config.json asks for [${shape}]`,
      );
    }
    if (!isFloat(entry)) {
      throw new ModelError(
        `${entry.file}: tensor '${tensor}' has dtype ${entry.dtype}, not F32, F16 or BF16`,
      );
    }
    left.delete(tensor);
    return entry;
  });
  for (const [tensor, {file}] of left) {
    if (!DERIVED.test(tensor)) throw new ModelError(`${file}: tensor '${tensor}' has no place in this model`);
  }
  return entries;
}

/** Reads the weights one by one; in memory at a time are the model and one tensor, or part, of the checkpoint. */
async function fill(
  model: LayersModel,
  files: ModelFiles,
  list: Assignment[],
  entries: TensorEntry[],
  {base, onProgress}: LoadOptions,
) {
  const total = entries.reduce((sum, {start, end}) => sum + end - start, 0);
  const next = new Map<string, number>();
  let loaded = 0;
  for (const [i, {layer, tensor, shape, transpose}] of list.entries()) {
    const entry = entries[i]!;
    const {weights} = model.getLayer(layer);
    const bytes = entry.end - entry.start;
    const write = (weight: LayerVariable, data: Float32Array, shape: number[], transpose: boolean) => {
      if (base === 'float16' && shape.length > 1) refuseOverflow(tensor, entry, data);
      tf.tidy(() => {
        const value = tf.tensor(data, shape);
        weight.write(transpose ? tf.transpose(value) : value);
      });
    };
    if (inParts(model, layer)) {
      // the rows of one part after the other, as the checkpoint has them
      let from = 0;
      for (const weight of weights) {
        const [count, width] = matrixShape(weight);
        const part = await readTensor(files, tensor, entry, {from, count});
        write(weight, part, [count, width], false);
        from += count;
        onProgress?.(loaded + Math.round((bytes * from) / shape[0]!), total);
      }
    } else {
      const index = next.get(layer) ?? 0;
      next.set(layer, index + 1);
      write(weights[index]!, await readTensor(files, tensor, entry), shape, transpose);
    }
    loaded += bytes;
    onProgress?.(loaded, total);
  }
}

/** While the numbers are at hand: those of a tensor on a GPU cannot be read at once everywhere. */
function refuseOverflow(tensor: string, {file}: TensorEntry, data: Float32Array) {
  const large = data.find((value) => overflowError(tensor, Math.abs(value)) !== undefined);
  if (large === undefined) return;
  throw new ModelError(
    `${file}: tensor '${tensor}' has a number ${large}, and float16 holds none beyond 65504; bfloat16 does`,
  );
}

/** Whether all weights of a layer are parts of one table. */
function inParts(model: LayersModel, name: string): boolean {
  const layer = model.getLayer(name);
  return (layer instanceof LlamaEmbedding || layer instanceof LlamaHead) && layer.weights.length > 1;
}

/**
 * Loads a Llama from the files of a Hugging Face folder: config.json, the .safetensors, tokenizer.json and,
 * where there is one, tokenizer_config.json. Weights become float32, or what `base` says, one after the other. On failure nothing stays behind on the
 * backend.
 * @throws ModelError saying which file, key or tensor is wrong.
 */
export async function loadLlama(files: ModelFiles, options: LoadOptions = {}): Promise<LoadedLlama> {
  const config = parseConfig(await readJson(files, 'config.json'));
  const tokenizer = await loadTokenizer(files, config);
  const list = assignments(config);
  const entries = match(list, await readCheckpoint(files), config);
  const model = buildLlama(config, options);
  try {
    await fill(model, files, list, entries, options);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return {model, config, tokenizer};
}
