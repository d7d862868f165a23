import * as tf from '@tensorflow/tfjs-core';

/** The parts of tfjs's engine that record and run gradients; its types hide them. */
export interface TapeEngine {
  state: {
    activeTape: TapeNode[] | null;
    nextTapeNodeId: number;
    gradientDepth: number;
    kernelDepth: number;
    activeScope: {id: number} | null;
  };
  addTapeNode(
    kernelName: string,
    inputs: tf.NamedTensorMap,
    outputs: tf.Tensor[],
    gradientsFunc: tf.GradFunc | null,
    saved: tf.Tensor[],
    attrs: tf.NamedAttrMap,
  ): void;
  gradients(
    f: () => tf.Tensor,
    xs: tf.Tensor[],
    dy?: tf.Tensor | null,
    allowNoGradients?: boolean,
  ): {value: tf.Tensor; grads: tf.Tensor[]};
  saveTensorsForBackwardMode(tensors: tf.Tensor[]): tf.Tensor[];
}

export interface TapeNode {
  id: number;
  kernelName: string;
  inputs: tf.NamedTensorMap;
  outputs: tf.Tensor[];
  /** Called as a method of a copy of the node whose `inputs` are those that a gradient is wanted for. */
  gradient?: (this: TapeNode, dys: (tf.Tensor | null)[]) => Record<string, () => tf.Tensor>;
  saved: tf.Tensor[];
}

export const tapeEngine = (): TapeEngine => tf.engine() as unknown as TapeEngine;

/** Puts another method in place on the object itself; returns what takes it away again. */
export function replaceMethod<T extends object, K extends keyof T>(
  object: T,
  name: K,
  make: (stock: T[K]) => T[K],
): () => void {
  const own = Object.hasOwn(object, name);
  const stock = object[name];
  object[name] = make(stock);
  return () => {
    if (own) object[name] = stock;
    else delete object[name];
  };
}

/** Puts another gradient in place of the registered one; returns what puts that very object back. */
export function replaceGradient(
  kernelName: string,
  make: (stock: tf.GradConfig) => Partial<tf.GradConfig>,
): () => void {
  const stock = tf.getGradient(kernelName);
  const register = (config: tf.GradConfig): void => {
    tf.unregisterGradient(kernelName);
    tf.registerGradient(config);
  };
  register({...stock, ...make(stock)});
  return () => register(stock);
}

/** Puts another function in place of a registered kernel's, if there is one; returns what puts the stock object back. */
export function replaceKernel(
  kernelName: string,
  backendName: string,
  make: (stock: tf.KernelFunc) => tf.KernelFunc,
): () => void {
  const stock = tf.getKernel(kernelName, backendName);
  if (stock == null) return () => {};
  const register = (config: tf.KernelConfig): void => {
    tf.unregisterKernel(kernelName, backendName);
    tf.registerKernel(config);
  };
  register({...stock, kernelFunc: make(stock.kernelFunc)});
  return () => register(stock);
}

/** Undoes replacements, the last one first: those of one object may lie on top of each other. */
export const restoreAll =
  (replacements: (() => void)[]): (() => void) =>
  () => {
    for (const restore of replacements.toReversed()) restore();
  };
