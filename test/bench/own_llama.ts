import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import type {LlamaConfig} from '../../demos/llama/config.ts';
import {nextTokenLoss} from '../../demos/llama/loss.ts';
import {buildLlama} from '../../demos/llama/model.ts';
import {applyCELoRA, type Base} from '../../src/index.ts';
import {matrixShape} from '../../src/layers/half_variable.ts';
import {modelRunner} from '../../src/model/apply_model.ts';
import {smallRandom, type Trainee} from './stock_llama.ts';

export const RANK = 16;
const PROJECTIONS = /(q|k|v|o|gate|up|down)_proj$/;

/** Bytes of the largest part of a table, of a candidate that is to take little memory. */
const SMALL_TABLE = 2 ** 27;

/** A Llama, and a batch for it. */
export interface Size {
  config: LlamaConfig;
  batch: number;
  t: number;
}

/** Of a shape 'hidden,ffn,layers,heads,kvHeads,vocabulary,batch,tokens[,tied]'. @throws Error for another one. */
export function sizeOf(shape: string): Size {
  const fields = shape.split(',');
  const tiedHead = fields[8] === 'tied';
  const [hiddenSize, intermediateSize, numLayers, numHeads, numKvHeads, vocabSize, batch, t] = fields
    .slice(0, 8)
    .map(Number);
  const all = [hiddenSize, intermediateSize, numLayers, numHeads, numKvHeads, vocabSize, batch, t];
  if (fields.length !== (tiedHead ? 9 : 8) || !all.every((size) => Number.isInteger(size) && size! >= 1)) {
    throw new Error(
      `--shape must be hidden,ffn,layers,heads,kvHeads,vocabulary,batch,tokens[,tied], but is '${shape}'`,
    );
  }
  return {
    batch: batch!,
    t: t!,
    config: {
      modelType: 'llama',
      vocabSize: vocabSize!,
      hiddenSize: hiddenSize!,
      intermediateSize: intermediateSize!,
      numLayers: numLayers!,
      numHeads: numHeads!,
      numKvHeads: numKvHeads!,
      headDim: hiddenSize! / numHeads!,
      maxPositions: t!,
      rmsNormEps: 1e-5,
      ropeTheta: 10000,
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
      tiedHead,
      eosIds: [],
    },
  };
}

/** What a candidate of ours is. */
export interface Ours {
  keep: number;
  /** Below 1 the gradient of the head is approximated too. */
  headKeep: number;
  base?: Base;
  /** Compute every layer's activations again in backward. */
  checkpointed?: boolean;
}

/** A Llama of random weights with adapters on its projections, and what trains it. */
export function oursOf(
  {config}: Size,
  ids: tf.Tensor2D,
  labels: tf.Tensor2D,
  {keep, headKeep, base = 'float32', checkpointed = false}: Ours,
): Trainee & {model: LayersModel} {
  // in parts a large table has no large tensors of float32 on its way to half precision
  const model = buildLlama(config, {base, ...(checkpointed && {mostBytes: SMALL_TABLE})});
  let seed = 1;
  for (const weight of model.weights) {
    if (weight.shape.length > 1) tf.tidy(() => void weight.write(smallRandom(matrixShape(weight), seed++)));
  }
  const options = {rank: RANK, keep, frozenRank: keep < 1 ? 16 : 0, exactEvery: 0};
  const head = {target: 'lm_head', rank: 0, keep: headKeep};
  applyCELoRA(
    model,
    headKeep < 1
      ? {...options, target: [PROJECTIONS, 'lm_head'], overrides: [head]}
      : {...options, target: PROJECTIONS},
  );
  const apply = modelRunner(true, checkpointed ? 1 : undefined);
  return {
    model,
    loss: () => nextTokenLoss(model, ids, labels, {training: true, apply}),
    variables: model.trainableWeights.map((weight) => weight.read() as tf.Variable),
    dispose: () => void model.dispose(),
  };
}
