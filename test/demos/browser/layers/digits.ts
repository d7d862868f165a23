import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';

const SIDE = 28;

/** A network that was trained to read digits: 784-128-32-10, whose weights lie in a folder, one file each. */
export async function digitsModel(folder: string): Promise<tfl.LayersModel> {
  const layers: [name: string, units: number][] = [
    ['hidden1', 128],
    ['hidden2', 32],
    ['softmax_linear', 10],
  ];
  const model = tfl.sequential({name: 'digits'});
  for (const [name, units] of layers) {
    const activation = name === 'softmax_linear' ? 'softmax' : 'relu';
    model.add(
      tfl.layers.dense({name, units, activation, ...(units === 128 ? {inputShape: [SIDE * SIDE]} : {})}),
    );
  }
  const read = async (name: string) => {
    const bytes = await readFile(join(folder, name));
    return new Float32Array(Uint8Array.from(bytes).buffer);
  };
  const weights = await Promise.all(
    layers.flatMap(([name]) => [read(`${name}_weights`), read(`${name}_biases`)]),
  );
  const shapes = model.getWeights().map(({shape}) => shape);
  tf.tidy(() => model.setWeights(weights.map((values, i) => tf.tensor(values, shapes[i]!))));
  return model;
}

/** The first digits of a kind in the package `mnist`, as grey pixels 0 … 255, lying on their side. */
export async function lyingDigits(digit: number, count: number): Promise<number[][]> {
  const {resolve} = createRequire(import.meta.url);
  const {data} = JSON.parse(await readFile(resolve(`mnist/src/digits/${digit}.json`), 'utf8')) as {
    data: number[];
  };
  return Array.from({length: count}, (_, i) => {
    const upright = data.slice(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
    const turned = (_: number, at: number) =>
      upright[(SIDE - 1 - (at % SIDE)) * SIDE + Math.floor(at / SIDE)]!;
    return upright.map(turned).map((value) => Math.round(255 * value));
  });
}
