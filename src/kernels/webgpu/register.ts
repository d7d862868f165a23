import * as tf from '@tensorflow/tfjs-core';
import {setBreakEven} from '../break_even.ts';
import * as names from '../kernel_names.ts';
import {registerPortableKernels} from '../portable/register.ts';
import {type OwnKernel, registerOwnKernels} from '../register_own.ts';
import * as training from '../training_kernel_names.ts';
import * as transformer from '../transformer_kernel_names.ts';
import {adamWStep} from './adamw_step.ts';
import type {WebGPUBackend} from './backend.ts';
import {causalAttention, causalAttentionGrad} from './causal_attention.ts';
import {columnScores, packColumns, selectColumns} from './columns.ts';
import {countLabels, crossEntropy, crossEntropyGrad} from './cross_entropy.ts';
import {embeddingGrad, embeddingLookup} from './embedding.ts';
import {gatedUnit, gatedUnitGrad} from './gated_unit.ts';
import {globalNorm} from './global_norm.ts';
import {packHalf, unpackHalf} from './half.ts';
import {inverseCholesky} from './inverse_cholesky.ts';
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
  loraGrad,
  loraMatMul,
  lowRankMatMul,
  sampledActivationGrad,
} from './products.ts';
import {deviceRandomUniform, dropoutMask} from './random_uniform.ts';
import {rotaryEmbedding} from './rotary_embedding.ts';
import {sampleRows} from './sample_rows.ts';
import {registerTuning} from './tuning.ts';

const KERNELS: Record<string, OwnKernel<WebGPUBackend>> = {
  [names.LoRAMatMul]: loraMatMul,
  [names.LowRankMatMul]: lowRankMatMul,
  [names.LoRAGrad]: loraGrad,
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

/** Whether backend 'webgpu' uses our shaders; by default where the adapter is a real one. */
const FLAG = 'CELORA_WEBGPU_SHADERS';

/**
 * On a software adapter, which compiles a shader of ours in seconds and gains nothing from tiles, stock programs serve.
 */
const isSoftware = ({adapterInfo}: WebGPUBackend) => /swiftshader|llvmpipe/i.test(adapterInfo.architecture);

/**
 * By stock programs, on SwiftShader on two cores, approximating takes 1.9 times as long at [128, 64] · [64, 64], 0.5 million
 * multiply-adds, and 0.5 times at [16, 512] · [512, 512], 4 million (sizes-swiftshader-2-cores.json).
 */
const STOCK_BREAK_EVEN = 1e6;

/** Whether our kernels on backend 'webgpu' are shaders at the moment. */
export const usesShaders = (): boolean => tf.env().getBool(FLAG);

/** Registers our WebGPU kernels, and portable ones for the others, once. */
export function registerWebGPUKernels(): void {
  if (tf.getKernel(names.LoRAMatMul, 'webgpu') != null) return;
  tf.env().registerFlag(FLAG, () => !isSoftware(tf.findBackend('webgpu') as WebGPUBackend));
  registerTuning();
  setBreakEven('webgpu', () => (usesShaders() ? 0 : STOCK_BREAK_EVEN));
  registerOwnKernels('webgpu', KERNELS, usesShaders);
  // These are ours on a software adapter too, since nothing can be read back for the host to do it, and tfjs's programs take
  // words of half precision, integers, for floats, which rounds them.
  const always = {
    [names.PackHalf]: packHalf,
    [names.UnpackHalf]: unpackHalf,
    [names.InverseCholesky]: inverseCholesky,
  };
  registerOwnKernels('webgpu', always, () => true);
  registerOwnKernels(
    'webgpu',
    {[training.EmbeddingLookup]: embeddingLookup},
    (attrs) => usesShaders() || (attrs as names.WeightAttrs).half !== undefined,
  );
  registerPortableKernels('webgpu');
}
