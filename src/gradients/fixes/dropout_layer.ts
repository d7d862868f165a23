import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {deviceDropout} from '../../ops/dropout.ts';
import {type RandomStream, seedFor, seedStream} from '../../random.ts';
import {replaceMethod} from '../engine.ts';

type Call = tfl.layers.Layer['call'];

/** What tfjs's types hide of its Dropout. */
interface Dropout {
  name: string;
  rate: number;
  seed: number | undefined;
  getNoiseShape(input: tf.Tensor): (number | null)[] | undefined;
  invokeCallHook(...args: Parameters<Call>): void;
}

const streams = new WeakMap<object, RandomStream>();

/** What a dropout layer without a seed draws its seeds from. */
export function dropoutSeeds(layer: {name: string}): RandomStream {
  if (!streams.has(layer)) streams.set(layer, seedStream(seedFor(layer.name, 0)));
  return streams.get(layer)!;
}

const nextSeed = (layer: Dropout): number =>
  layer.seed == null ? dropoutSeeds(layer)() : seedFor('', layer.seed);

/**
 * Masks of tfjs's Dropout and SpatialDropout1D layers made on the device. As in stock tfjs, a layer with a seed drops
 * the same places at every call; one without draws its seeds from a stream of its name's.
 */
export function fixDropoutLayer(): () => void {
  // a name of its own, so that tfjs's counter of automatic names stays as it is
  const probe = tfl.layers.dropout({rate: 0.5, name: 'celora_probe'});
  const prototype = Object.getPrototypeOf(probe) as {call: Call};
  return replaceMethod(
    prototype,
    'call',
    (stock) =>
      function (this: Dropout, inputs, kwargs) {
        if (!kwargs.training || this.rate <= 0 || this.rate >= 1)
          return stock.call(this as unknown as tfl.layers.Layer, inputs, kwargs);
        return tf.tidy(() => {
          this.invokeCallHook(inputs, kwargs);
          const x = Array.isArray(inputs) ? inputs[0]! : inputs;
          const mask = this.getNoiseShape(x)?.map((size, i) => size ?? x.shape[i]!);
          return deviceDropout(x, this.rate, nextSeed(this), mask);
        });
      } as Call,
  );
}
