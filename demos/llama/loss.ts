import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {
  type ApplyModel,
  CELoRADense,
  crossEntropy,
  type LinearCrossEntropyArgs,
  linearCrossEntropy,
} from '../../src/index.ts';
import {weightsIn} from '../../src/layers/half_variable.ts';
import {modelRunner} from '../../src/model/apply_model.ts';
import {languageModelInputs} from '../../src/train/loss.ts';
import {LlamaHead, LlamaTiedHead} from './layers.ts';

/** The label of a position that does not count: what follows it is padding. */
const NONE = -1;

/**
 * Mean cross-entropy, in nats, of the token that follows each position.
 *
 * @param logits [.., vocab]
 * @param labels int32 [..], the next token of each position (already shifted); a position whose label is
 *   negative does not count. If none counts the loss is 0.
 */
export function causalLoss(logits: tf.Tensor, labels: tf.Tensor): tf.Scalar {
  return crossEntropy(logits, labels, {ignoreLabel: NONE});
}

const bodies = new WeakMap<tfl.LayersModel, tfl.LayersModel>();

/** All of the model but its head. It shares the model's layers and must not be disposed. */
function bodyOf(model: tfl.LayersModel): tfl.LayersModel {
  const body = bodies.get(model);
  if (body) return body;
  const [hidden] = [model.getLayer('lm_head').input].flat();
  bodies.set(model, tfl.model({inputs: model.inputs, outputs: hidden!}));
  return bodies.get(model)!;
}

type Head = Pick<LinearCrossEntropyArgs, 'kernel' | 'transposed' | 'gradient'>;

/** The head's operands, as it is now; undefined for one with an adapter. */
function headOf(model: tfl.LayersModel): Head | undefined {
  const layer = model.getLayer('lm_head');
  if (layer instanceof LlamaTiedHead) return {kernel: layer.tableWeights.map(weightsIn), transposed: true};
  if (layer instanceof LlamaHead) return {kernel: layer.weights.map(weightsIn), transposed: true};
  if (!(layer instanceof CELoRADense)) return {kernel: layer.weights[0]!.read()};
  if (layer.config.rank > 0) return undefined;
  return {kernel: weightsIn(layer.baseVariables().kernel), gradient: layer.gradient};
}

export interface LossOptions {
  /** Default false. */
  training?: boolean;
  /** int32 [batch, t], of a model that takes them. Default: one segment. */
  segments?: tf.Tensor2D | undefined;
  /** How the model is run, for a training recipe that has its own way. Default: `model.apply`. */
  apply?: ApplyModel;
}

/**
 * The causal loss of a model of `buildLlama` without its logits: [batch, t, vocab] would be the largest tensor of a
 * training step by far.
 *
 * @param ids int32 [batch, t]
 * @param labels int32 [batch, t], as for `causalLoss`
 */
export function nextTokenLoss(
  model: tfl.LayersModel,
  ids: tf.Tensor2D,
  labels: tf.Tensor,
  {training = false, segments, apply = modelRunner(training)}: LossOptions = {},
): tf.Scalar {
  return tf.tidy(() => {
    const head = headOf(model);
    const inputs = languageModelInputs('nextTokenLoss', model, segments ? {ids, segments} : {ids});
    if (!head) return causalLoss(apply(model, inputs), labels);
    const x = apply(bodyOf(model), inputs);
    return linearCrossEntropy({x, labels, ignoreLabel: NONE, ...head});
  });
}
