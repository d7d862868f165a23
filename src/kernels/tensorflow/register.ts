import * as tf from '@tensorflow/tfjs-core';
import * as names from '../kernel_names.ts';
import {registerPortableKernels} from '../portable/register.ts';
import {type OwnKernel, registerOwnKernels} from '../register_own.ts';
import * as training from '../training_kernel_names.ts';
import * as transformer from '../transformer_kernel_names.ts';
import {adamWStep} from './adamw_step.ts';
import type {TensorFlowBackend} from './backend.ts';
import {causalAttention, causalAttentionGrad} from './causal_attention.ts';
import {columnScores, packColumns, selectColumns} from './columns.ts';
import {countLabels, crossEntropy, crossEntropyGrad} from './cross_entropy.ts';
import {gatedUnit, gatedUnitGrad, globalNorm, rotaryEmbedding} from './elementwise.ts';
import {lookUpHalf, packHalf, unpackHalf} from './half.ts';
import {loraGrad} from './lora_grad.ts';
import {
  addRMSNorm,
  layerNorm,
  layerNormGrad,
  layerNormWeightGrad,
  rmsNorm,
  rmsNormGrad,
  rmsNormWeightGrad,
} from './norms.ts';
import {packTensors, unpackTensors} from './pack_tensors.ts';
import {
  activationGrad,
  approxActivationGrad,
  loraMatMul,
  lowRankMatMul,
  sampledActivationGrad,
  TF32_FLAG,
} from './products.ts';
import {deviceRandomUniform, dropoutMask} from './random_uniform.ts';
import {useOps} from './run_op.ts';
import {sampleRows} from './sample_rows.ts';

const KERNELS: Record<string, OwnKernel<TensorFlowBackend>> = {
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
  [names.DeviceRandomUniform]: deviceRandomUniform,
  [names.DropoutMask]: dropoutMask,
  [training.CountLabels]: countLabels,
  [training.CrossEntropy]: crossEntropy,
  [training.CrossEntropyGrad]: crossEntropyGrad,
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

/**
 * Whether backend 'tensorflow' uses our own ops; by default on a GPU. On the CPU they run the same device code thread by
 * thread, for tests: TensorFlow's stock ops are faster there.
 */
const OPS_FLAG = 'CELORA_TENSORFLOW_OPS';

/** Whether our kernels on backend 'tensorflow' are our own ops at the moment. */
export const usesOwnOps = (): boolean => tf.env().getBool(OPS_FLAG);

/**
 * Registers our kernels of TensorFlow ops in place of any that are there, and portable ones for the others; tfjs's backend
 * 'tensorflow' must be there.
 * @param prefix With what the ops' names begin, as the addon that registered them with TensorFlow says.
 */
export function registerTensorFlowKernels(prefix: string): void {
  useOps(prefix);
  const {isUsingGpuDevice} = tf.findBackend('tensorflow') as TensorFlowBackend;
  tf.env().registerFlag(OPS_FLAG, () => isUsingGpuDevice);
  tf.env().registerFlag(TF32_FLAG, () => true);
  registerOwnKernels('tensorflow', KERNELS, usesOwnOps);
  // words of half precision are always ours: portable kernels decode on the host
  registerOwnKernels('tensorflow', {[names.PackHalf]: packHalf, [names.UnpackHalf]: unpackHalf}, () => true);
  registerOwnKernels(
    'tensorflow',
    {[training.EmbeddingLookup]: lookUpHalf},
    (attrs) => (attrs as names.WeightAttrs).half !== undefined,
  );
  registerPortableKernels('tensorflow');
}
