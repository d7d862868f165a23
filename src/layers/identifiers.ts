import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {show} from '../config.ts';

type Args = Parameters<typeof tfl.layers.dense>[0];
type Kind = 'initializer' | 'regularizer' | 'constraint';
export type Initializer = Exclude<Args['kernelInitializer'], string | undefined>;
export type Regularizer = Exclude<Args['kernelRegularizer'], string | undefined>;
export type Constraint = Exclude<Args['kernelConstraint'], string | undefined>;

const FACTORIES = {
  initializer: tfl.initializers,
  regularizer: tfl.regularizers,
  constraint: tfl.constraints,
} as Record<Kind, Record<string, ((config: object) => tf.serialization.Serializable) | undefined>>;

interface Serialized {
  className: string;
  config?: tf.serialization.ConfigDict;
}

function fromClass({className, config = {}}: Serialized): tf.serialization.Serializable | undefined {
  const known = tf.serialization.SerializationMap.getMap().classNameMap[className];
  return known?.[1](known[0], config);
}

/**
 * What an argument of a layer stands for: an object as it is, a name such as 'glorotNormal' or that of a registered
 * class, or the serialised form {className, config} of a saved model.
 */
function resolve(
  kind: Kind,
  owner: string,
  args: Args,
  option: keyof Args,
): tf.serialization.Serializable | undefined {
  const value: unknown = args[option];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') {
    const factory = FACTORIES[kind][value];
    if (factory) return factory({});
    const known = fromClass({className: value});
    if (known) return known;
  } else if (value instanceof tf.serialization.Serializable) {
    return value;
  } else if (typeof value === 'object' && 'className' in value) {
    const known = fromClass(value as Serialized);
    if (known) return known;
  }
  throw unknownValue(owner, option, value);
}

const unknownValue = (owner: string, option: string, value: unknown): Error =>
  new Error(`${owner}: unknown ${option} ${show(value)}`);

type Resolve<T> = (owner: string, args: Args, option: keyof Args) => T | undefined;
export const initializer = ((...args) => resolve('initializer', ...args)) as Resolve<Initializer>;
export const regularizer = ((...args) => resolve('regularizer', ...args)) as Resolve<Regularizer>;
export const constraint = ((...args) => resolve('constraint', ...args)) as Resolve<Constraint>;

/** @param name Of the layer made, so that tfjs's counter of automatic names stays as it is. */
export function activationLayer(owner: string, {activation}: Args, name: string): tfl.layers.Layer {
  try {
    return tfl.layers.activation({activation: activation ?? 'linear', name});
  } catch {
    throw unknownValue(owner, 'activation', activation);
  }
}

/** The serialised form, null for none, as tfjs's own layers write it. */
export function serialize(
  object: tf.serialization.Serializable | undefined,
): tf.serialization.ConfigDict | null {
  return object ? {className: object.getClassName(), config: object.getConfig()} : null;
}
