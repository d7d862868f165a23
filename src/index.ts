export {type AdapterFilesOptions, adapterFiles} from './adapters/adapter_files.ts';
export {type LoadAdapterOptions, loadAdapter} from './adapters/load_adapter.ts';
export type {AdapterFiles} from './adapters/modules.ts';
export {
  type Axis,
  type Base,
  type CELoRAConfig,
  DEFAULT_CONFIG,
  resolveConfig,
  type Score,
} from './config.ts';
export {FileError} from './files/json.ts';
export {ActivationGradient, type ActivationGradientStats} from './gradients/activation_gradient.ts';
export {checkpoint} from './gradients/checkpoint.ts';
export {installEarlyFreeing} from './gradients/early_freeing.ts';
export {installGradientFixes} from './gradients/fixes/install.ts';
export type {Installation} from './gradients/shared_install.ts';
export type {FusedActivation, HalfFormat} from './kernels/kernel_names.ts';
export type {GateActivation, RotaryPairing} from './kernels/transformer_kernel_names.ts';
export {installEncodingCache} from './kernels/webgpu/encoding_cache.ts';
export {installFastMatMul} from './kernels/webgpu/fast_mat_mul.ts';
export {releaseFreeBuffers} from './kernels/webgpu/free_buffers.ts';
export {type AdapterConfig, AdapterSet, LoRAAdapter} from './layers/adapter.ts';
export {CausalAttention, type CausalAttentionArgs} from './layers/causal_attention.ts';
export {CELoRADense, type CELoRADenseArgs, celoraDense} from './layers/celora_dense.ts';
export {GatedUnit, type GatedUnitArgs} from './layers/gated_unit.ts';
export {RMSNorm, type RMSNormArgs} from './layers/rms_norm.ts';
export {RotaryEmbedding, type RotaryEmbeddingArgs} from './layers/rotary_embedding.ts';
export {
  type AdapterOptions,
  activeAdapter,
  adapterNames,
  addAdapter,
  deleteAdapter,
  setActiveAdapter,
} from './model/adapters.ts';
export type {ApplyModel} from './model/apply_model.ts';
export {type CalibrationReport, calibrateCELoRA} from './model/budget.ts';
export {type ApplyOptions, applyCELoRA, type CELoRAReport, type ConvertedLayer} from './model/convert.ts';
export {type Cost, type CostReport, estimateCost, type LayerCost} from './model/cost.ts';
export {type Diagnosis, diagnoseCELoRA, type LayerDiagnosis} from './model/diagnose.ts';
export {freezeBase} from './model/freeze.ts';
export {
  type GradientHook,
  type HookedProduct,
  type HookOptions,
  type HookStats,
  registerCELoRAGradients,
} from './model/hook.ts';
export {mergeCELoRA, removeCELoRA, setAdapterEnabled} from './model/merge.ts';
export {paperConfig} from './model/paper.ts';
export {
  type BenchmarkOptions,
  type BenchmarkReport,
  benchmarkCELoRA,
  type LayerBenchmark,
} from './model/speed.ts';
export type {Target} from './model/target.ts';
export {
  activationGrad,
  approxActivationGrad,
  packColumns,
  sampledActivationGrad,
} from './ops/activation_grad.ts';
export {
  type AttentionHeads,
  type CausalAttentionOptions,
  causalAttention,
} from './ops/causal_attention.ts';
export {clipByGlobalNorm} from './ops/clip_by_global_norm.ts';
export {crossEntropy} from './ops/cross_entropy.ts';
export {deviceDropout} from './ops/dropout.ts';
export {embeddingLookup} from './ops/embedding_lookup.ts';
export {type FactorizeOptions, factorize} from './ops/factorize.ts';
export {type GatedUnitOptions, gatedUnit} from './ops/gated_unit.ts';
export {type HalfMatrix, packHalf, unpackHalf, type Weights} from './ops/half.ts';
export type {LabelOptions, Reduction} from './ops/labels.ts';
export {largestTensor} from './ops/largest_tensor.ts';
export {type LayerNormOptions, layerNorm} from './ops/layer_norm.ts';
export {type LinearCrossEntropyArgs, linearCrossEntropy} from './ops/linear_cross_entropy.ts';
export {type LoRAMatMulArgs, loraMatMul} from './ops/lora_mat_mul.ts';
export {deviceRandomUniform} from './ops/random_uniform.ts';
export {addRMSNorm, type RMSNormOptions, rmsNorm} from './ops/rms_norm.ts';
export {type RotaryEmbeddingOptions, rotaryEmbedding} from './ops/rotary_embedding.ts';
export {columnScores, sampleRows, selectColumns} from './ops/select_columns.ts';
export {AdamW, type AdamWOptions} from './train/adamw.ts';
export {
  type BatchOptions,
  type BatchSource,
  IGNORED_LABEL,
  type TokenBatch,
  textBatches,
} from './train/batches.ts';
export type {CheckpointStore} from './train/checkpoint_store.ts';
export {type CompileReport, compileCELoRA} from './train/compile.ts';
export {type EvaluateOptions, evaluateLoss} from './train/evaluate.ts';
export {
  type ChatMessage,
  chatTemplate,
  type Example,
  type RenderChat,
  type RowReader,
  readJsonLines,
  type TextPart,
  textTemplate,
} from './train/examples.ts';
export {fineTune} from './train/fine_tune.ts';
export {
  type Budget,
  type CheckpointPlan,
  type EvaluationPlan,
  type FineTuneOptions,
  type FineTuneResult,
  NonFiniteLossError,
  type TrainingEvent,
} from './train/fine_tune_options.ts';
export {type BatchLoss, languageModelLoss} from './train/loss.ts';
export {type ExampleBatches, type ExampleBatchOptions, exampleBatches} from './train/packing.ts';
export {cosineSchedule, linearSchedule, type Schedule, type ScheduleOptions} from './train/schedule.ts';
export {type TextTokenizer, type TokenizedText, tokenize} from './train/tokens.ts';
export type {Evaluation} from './train/training_state.ts';
