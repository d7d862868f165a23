import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel, LayerVariable} from '@tensorflow/tfjs-layers';
import {type TensorData, writeSafetensors} from '../../src/files/safetensors.ts';
import {CELoRADense} from '../../src/index.ts';
import {weightsIn} from '../../src/layers/half_variable.ts';
import {floatsOf} from '../../src/ops/half.ts';
import {type ModelFiles, readJson} from './files.ts';
import {LlamaEmbedding, LlamaHead} from './layers.ts';

/**
 * The model's weights under the names and in the layout of Hugging Face, in float32, its active adapter in them if it has
 * one.
 */
export async function checkpointOf(model: LayersModel): Promise<Record<string, TensorData>> {
  const tensors: Record<string, TensorData> = {};
  for (const layer of model.layers) {
    if (layer instanceof LlamaEmbedding || layer instanceof LlamaHead) {
      tensors[`${layer.name}.weight`] = await readTable(layer.weights);
      continue;
    }
    const weights = layer instanceof CELoRADense ? Object.values(layer.baseVariables()) : layer.weights;
    const isDense = layer instanceof CELoRADense || layer.getClassName() === 'Dense';
    for (const [i, weight] of weights.entries()) {
      if (!weight) continue; // no bias
      // a Dense has [in, out] where PyTorch has [out, in]
      const value = () => (isDense && i === 0 ? tf.transpose(kernelOf(layer, weight)) : weight.read());
      tensors[`${layer.name}.${i === 0 ? 'weight' : 'bias'}`] = await read(value);
    }
  }
  return tensors;
}

const floatsIn = (weight: LayerVariable): tf.Tensor => floatsOf(weightsIn(weight));

/** A kernel with the adapter in it; at half precision it is not rounded again. */
function kernelOf(layer: LayersModel['layers'][number], kernel: LayerVariable): tf.Tensor {
  const isAdapted = layer instanceof CELoRADense && layer.adapters.active !== undefined && !layer.merged;
  return isAdapted ? tf.add(floatsIn(kernel), layer.deltaWeight()) : floatsIn(kernel);
}

async function read(make: () => tf.Tensor): Promise<TensorData> {
  const value = tf.tidy(() => tf.clone(make()));
  try {
    return {shape: value.shape, data: Float32Array.from(await value.data())};
  } finally {
    value.dispose();
  }
}

/** A table, whose parts lie one below the other. */
async function readTable(weights: readonly LayerVariable[]): Promise<TensorData> {
  const parts = await Promise.all(weights.map((weight) => read(() => floatsIn(weight))));
  const rows = parts.reduce((sum, {shape}) => sum + shape[0]!, 0);
  const columns = parts[0]!.shape[1]!;
  const data = new Float32Array(rows * columns);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return {shape: [rows, columns], data};
}

/**
 * The files of a Hugging Face folder that holds the model as it is now, in float32.
 * @param source The files that it was loaded from: configuration and tokenizer are taken over.
 */
export async function llamaFiles(
  model: LayersModel,
  source: ModelFiles,
): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const {dtype: _, ...config} = await readJson(source, 'config.json');
  const json = new TextEncoder().encode(JSON.stringify({...config, torch_dtype: 'float32'}, null, 2));
  const files: Record<string, Uint8Array<ArrayBuffer>> = {'config.json': json};
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    if ((await source.size(name)) !== undefined) files[name] = Uint8Array.from(await source.read(name));
  }
  files['model.safetensors'] = writeSafetensors(await checkpointOf(model), {format: 'pt'});
  return files;
}
