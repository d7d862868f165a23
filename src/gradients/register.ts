import * as tf from '@tensorflow/tfjs-core';
import {attachGradientGradConfig} from './attach_gradient_grad.ts';
import {causalAttentionGradConfig} from './causal_attention_grad.ts';
import {crossEntropyLossGradConfig} from './cross_entropy_grad.ts';
import {embeddingLookupGradConfig} from './embedding_grad.ts';
import {gatedUnitGradConfig} from './gated_unit_grad.ts';
import {layerNormGradConfig} from './layer_norm_grad.ts';
import {loraMatMulGradConfig} from './lora_mat_mul_grad.ts';
import {addRMSNormGradConfig, rmsNormGradConfig} from './rms_norm_grad.ts';
import {rotaryEmbeddingGradConfig} from './rotary_embedding_grad.ts';

/** The gradients of our kernels. */
const GRADIENTS: tf.GradConfig[] = [
  loraMatMulGradConfig,
  rmsNormGradConfig,
  addRMSNormGradConfig,
  layerNormGradConfig,
  rotaryEmbeddingGradConfig,
  gatedUnitGradConfig,
  causalAttentionGradConfig,
  crossEntropyLossGradConfig,
  attachGradientGradConfig,
  embeddingLookupGradConfig,
];

/** Registers the gradients of our kernels with tfjs, once. */
export function registerGradients(): void {
  for (const config of GRADIENTS) {
    if (tf.getGradient(config.kernelName) == null) tf.registerGradient(config);
  }
}
