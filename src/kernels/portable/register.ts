import * as tf from '@tensorflow/tfjs-core';
import * as names from '../kernel_names.ts';
import * as training from '../training_kernel_names.ts';
import * as transformer from '../transformer_kernel_names.ts';
import {activationGrad, approxActivationGrad, sampledActivationGrad} from './activation_grad.ts';
import {adamWStep} from './adamw_step.ts';
import {attachGradient} from './attach_gradient.ts';
import {causalAttention, causalAttentionGrad} from './causal_attention.ts';
import {countLabels, crossEntropy, crossEntropyGrad, crossEntropyLoss} from './cross_entropy.ts';
import {embeddingGrad, embeddingLookup} from './embedding.ts';
import {gatedUnit, gatedUnitGrad} from './gated_unit.ts';
import {globalNorm} from './global_norm.ts';
import {packHalf, unpackHalf} from './half.ts';
import {inverseCholesky} from './inverse_cholesky.ts';
import {layerNorm, layerNormGrad, layerNormWeightGrad} from './layer_norm.ts';
import {loraGrad} from './lora_grad.ts';
import {loraMatMul} from './lora_mat_mul.ts';
import {lowRankMatMul} from './low_rank_mat_mul.ts';
import {packColumns} from './pack_columns.ts';
import {packTensors, unpackTensors} from './pack_tensors.ts';
import {deviceRandomUniform, dropoutMask} from './random_uniform.ts';
import {addRMSNorm, rmsNorm, rmsNormGrad, rmsNormWeightGrad} from './rms_norm.ts';
import {rotaryEmbedding} from './rotary_embedding.ts';
import {sampleRows} from './sample_rows.ts';
import {columnScores, selectColumns} from './select_columns.ts';

type Implementation = (inputs: never, attrs: never) => tf.Tensor | tf.Tensor[];

/** Stock tfjs kernels composed: they run on every backend that can train. */
const PORTABLE: Record<string, Implementation> = {
  [names.PackHalf]: packHalf,
  [names.UnpackHalf]: unpackHalf,
  [names.LoRAMatMul]: loraMatMul,
  [names.LoRAGrad]: loraGrad,
  [names.LowRankMatMul]: lowRankMatMul,
  [names.ActivationGrad]: activationGrad,
  [names.ApproxActivationGrad]: approxActivationGrad,
  [names.PackColumns]: packColumns,
  [names.SampledActivationGrad]: sampledActivationGrad,
  [names.ColumnScores]: columnScores,
  [names.SelectColumns]: selectColumns,
  [names.SampleRows]: sampleRows,
  [names.InverseCholesky]: inverseCholesky,
  [names.DeviceRandomUniform]: deviceRandomUniform,
  [names.DropoutMask]: dropoutMask,
  [training.CountLabels]: countLabels,
  [training.CrossEntropy]: crossEntropy,
  [training.CrossEntropyGrad]: crossEntropyGrad,
  [training.CrossEntropyLoss]: crossEntropyLoss,
  [training.AttachGradient]: attachGradient,
  [training.EmbeddingLookup]: embeddingLookup,
  [training.EmbeddingGrad]: embeddingGrad,
  [training.GlobalNorm]: globalNorm,
  [training.AdamWStep]: adamWStep,
  [training.PackTensors]: packTensors,
  [training.UnpackTensors]: unpackTensors,
  [transformer.RMSNorm]: rmsNorm,
  [transformer.AddRMSNorm]: addRMSNorm,
  [transformer.RMSNormGrad]: rmsNormGrad,
  [transformer.RMSNormWeightGrad]: rmsNormWeightGrad,
  [transformer.LayerNorm]: layerNorm,
  [transformer.LayerNormGrad]: layerNormGrad,
  [transformer.LayerNormWeightGrad]: layerNormWeightGrad,
  [transformer.RotaryEmbedding]: rotaryEmbedding,
  [transformer.GatedUnit]: gatedUnit,
  [transformer.GatedUnitGrad]: gatedUnitGrad,
  [transformer.CausalAttention]: causalAttention,
  [transformer.CausalAttentionGrad]: causalAttentionGrad,
};

/** The portable kernel of that name. */
export function portableKernel(kernelName: string): tf.KernelFunc {
  const implementation = PORTABLE[kernelName]!;
  return ({inputs, attrs}) => tf.tidy(() => implementation(inputs as never, attrs as never));
}

/** Registers the portable kernels that `backendName` has none of its own for. */
export function registerPortableKernels(backendName: string): void {
  for (const kernelName of Object.keys(PORTABLE)) {
    if (tf.getKernel(kernelName, backendName) != null) continue;
    tf.registerKernel({kernelName, backendName, kernelFunc: portableKernel(kernelName)});
  }
}
