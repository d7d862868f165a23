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
function resolve(kind: Kind, value: unknown): tf.serialization.Serializable | undefined {
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
  throw new Error(`CELoRADense: unknown ${kind} ${show(value)}`);
}

export const initializer = (value: unknown) => resolve('initializer', value) as Initializer | undefined;
export const regularizer = (value: unknown) => resolve('regularizer', value) as Regularizer | undefined;
export const constraint = (value: unknown) => resolve('constraint', value) as Constraint | undefined;

/** The serialised form, null for none, as tfjs's own layers write it. */
export function serialize(
  object: tf.serialization.Serializable | undefined,
): tf.serialization.ConfigDict | null {
  return object ? {className: object.getClassName(), config: object.getConfig()} : null;
}
