import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';

/** The arguments of every layer: name, trainable, inputShape, … */
export type LayerArgs = NonNullable<ConstructorParameters<typeof tfl.layers.Layer>[0]>;

export type Inputs = tf.Tensor | tf.Tensor[];
export type Shapes = tfl.Shape | tfl.Shape[];
/** What else `call` gets, such as `training`. */
export type CallArgs = {[key: string]: unknown};

/** The shape of the first input, be it the only one or one of several. */
export const firstShape = (shapes: Shapes): tfl.Shape =>
  (Array.isArray(shapes[0]) ? shapes[0] : shapes) as tfl.Shape;

/** A layer's inputs as a list, whose length must be one of `counts`. */
export function listOf(owner: string, inputs: Inputs, ...counts: number[]): tf.Tensor[] {
  const list = Array.isArray(inputs) ? inputs : [inputs];
  if (!counts.includes(list.length)) {
    throw new Error(`${owner}: inputs must be of number ${counts.join(' or ')}, but are ${list.length}`);
  }
  return list;
}
