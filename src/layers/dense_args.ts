import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type Base, type CELoRAConfig, requireBoolean, requireOptions, show} from '../config.ts';
import {type LoRAMatMulArgs, loraMatMul} from '../ops/lora_mat_mul.ts';
import {
  activationLayer,
  type Constraint,
  constraint,
  type Initializer,
  initializer,
  type Regularizer,
  regularizer,
  serialize,
} from './identifiers.ts';

export type DenseArgs = Parameters<typeof tfl.layers.dense>[0];

/** The arguments of `tf.layers.dense`, the options of CE-LoRA, and two of CELoRADense's own. */
export interface CELoRADenseArgs extends DenseArgs, Partial<CELoRAConfig> {
  /** Whether kernel and bias are trained too; they are frozen otherwise. Default false. */
  trainBase?: boolean;
  /** Whether the kernel already contains the adapter, as in a model saved while merged. Default false. */
  merged?: boolean;
}

const DENSE_NAMES: Record<keyof DenseArgs | 'customObjects', true> = {
  units: true,
  activation: true,
  useBias: true,
  kernelInitializer: true,
  biasInitializer: true,
  inputDim: true,
  kernelConstraint: true,
  biasConstraint: true,
  kernelRegularizer: true,
  biasRegularizer: true,
  activityRegularizer: true,
  inputShape: true,
  batchInputShape: true,
  batchSize: true,
  dtype: true,
  name: true,
  trainable: true,
  weights: true,
  inputDType: true,
  // tfjs adds it to the config of every layer that it loads
  customObjects: true,
};

/** The arguments as every layer takes them: Dense's inputDim as a shape. */
export function layerArgs(args: CELoRADenseArgs): DenseArgs {
  requireOptions('CELoRADense', args);
  const {inputDim, inputShape, batchInputShape, batchSize} = args;
  if (inputDim == null || inputShape != null || batchInputShape != null) return args;
  return {...args, batchInputShape: [batchSize ?? null, inputDim]};
}

/** What is no argument of `tf.layers.dense`: ours, and what nobody knows. */
export function ownArgs(args: CELoRADenseArgs): Omit<CELoRADenseArgs, keyof DenseArgs> {
  return Object.fromEntries(Object.entries(args).filter(([name]) => !Object.hasOwn(DENSE_NAMES, name)));
}

/** Refuses what cannot be done with a kernel that is words, at half precision. */
export function requirePlainKernel(owner: string, args: CELoRADenseArgs, base: Base): void {
  const {trainBase, kernelRegularizer, kernelConstraint} = args;
  const unfit = Object.entries({trainBase, kernelRegularizer, kernelConstraint}).find(([, value]) => value);
  if (unfit) throw new Error(`${owner}: base must be 'float32' with ${unfit[0]}, but is ${show(base)}`);
}

/** The arguments of `tf.layers.dense` beyond those of every layer, each identifier resolved to what it stands for. */
export interface DenseSettings {
  units: number;
  useBias: boolean;
  /** tfjs's name of the activation, such as 'relu'. */
  activation: string;
  activate: (y: tf.Tensor) => tf.Tensor;
  kernelInitializer: Initializer;
  biasInitializer: Initializer;
  kernelRegularizer: Regularizer | undefined;
  biasRegularizer: Regularizer | undefined;
  kernelConstraint: Constraint | undefined;
  biasConstraint: Constraint | undefined;
}

/** @throws Error naming the layer, the argument and its value. */
export function denseSettings(args: DenseArgs, layerName: string): DenseSettings {
  const owner = `CELoRADense ${layerName}`;
  if (!Number.isInteger(args.units) || args.units < 1) {
    throw new Error(`${owner}: units must be an integer ≥ 1, but is ${show(args.units)}`);
  }
  if (args.activityRegularizer != null) {
    const value = show(args.activityRegularizer);
    throw new Error(`${owner}: tfjs supports no activityRegularizer, so it must be absent, but is ${value}`);
  }
  requireBoolean(owner, 'trainable', args.trainable ?? true);
  const activation = activationLayer(owner, args, `${layerName}_activation`);
  const name = activation.getConfig().activation as string;
  return {
    units: args.units,
    useBias: requireBoolean(owner, 'useBias', args.useBias ?? true),
    activation: name,
    activate: (y) => (name === 'linear' ? y : (activation.call(y, {}) as tf.Tensor)),
    kernelInitializer: initializer(owner, args, 'kernelInitializer') ?? tfl.initializers.glorotNormal({}),
    biasInitializer: initializer(owner, args, 'biasInitializer') ?? tfl.initializers.zeros(),
    kernelRegularizer: regularizer(owner, args, 'kernelRegularizer'),
    biasRegularizer: regularizer(owner, args, 'biasRegularizer'),
    kernelConstraint: constraint(owner, args, 'kernelConstraint'),
    biasConstraint: constraint(owner, args, 'biasConstraint'),
  };
}

/** The inverse of `denseSettings`: what a stock Dense's getConfig has beyond that of every layer. */
export function serializeSettings(settings: DenseSettings): tf.serialization.ConfigDict {
  const {units, useBias, activation} = settings;
  return {
    units,
    activation,
    useBias,
    kernelInitializer: serialize(settings.kernelInitializer),
    biasInitializer: serialize(settings.biasInitializer),
    kernelRegularizer: serialize(settings.kernelRegularizer),
    biasRegularizer: serialize(settings.biasRegularizer),
    kernelConstraint: serialize(settings.kernelConstraint),
    biasConstraint: serialize(settings.biasConstraint),
  };
}

/** The forward pass of a Dense with these settings, in stock tfjs's order of operations, hence with its bits. */
export function denseForward(
  settings: DenseSettings,
  {bias, ...operands}: Omit<LoRAMatMulArgs, 'activation'>,
): tf.Tensor {
  const {activation} = settings;
  if (activation === 'linear' || activation === 'relu' || activation === 'elu') {
    return loraMatMul({...operands, bias, activation});
  }
  const y = loraMatMul(operands);
  return settings.activate(bias ? tf.add(y, bias) : y);
}
