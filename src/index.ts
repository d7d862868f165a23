export {type Axis, type CELoRAConfig, DEFAULT_CONFIG, resolveConfig, type Score} from './config.ts';
export {ActivationGradient, type ActivationGradientStats} from './gradients/activation_gradient.ts';
export type {FusedActivation} from './kernels/kernel_names.ts';
export {
  activationGrad,
  approxActivationGrad,
  packColumns,
  sampledActivationGrad,
} from './ops/activation_grad.ts';
export {type FactorizeOptions, factorize} from './ops/factorize.ts';
export {type LoRAMatMulArgs, loraMatMul} from './ops/lora_mat_mul.ts';
export {columnScores, sampleRows, selectColumns} from './ops/select_columns.ts';
