import * as tf from '@tensorflow/tfjs-core';
import {type BatchSource, FileError} from '../../../src/index.ts';
import {seedFor, shuffled} from '../../../src/random.ts';

/** Rows to learn from, as they were read. */
export interface LabelledRows {
  /** Of each row, `width` numbers. */
  features: Float32Array;
  width: number;
  labels: string[];
}

/** What a model's outputs are to be: one of classes, or a number. */
export interface Targets {
  /** Names of the outputs; undefined where a number is learned. */
  classes: string[] | undefined;
  /** Of each row, the class or the number. */
  values: Float32Array;
}

export interface LabelledBatch {
  /** [rows, …input]. */
  x: tf.Tensor;
  /** [rows, outputs]: one-hot classes, or numbers. */
  y: tf.Tensor2D;
  weight: number;
}

/** Every so many rows one is held out. */
const HELD_OUT = 10;
/** Rows in a batch of an evaluation. */
const CHUNK = 256;

const isIndex = (label: string, below: number): boolean => /^\d+$/.test(label) && Number(label) < below;

/**
 * What the labels mean for a model with so many outputs: numbers from 0 are the outputs themselves; other labels are the
 * outputs in alphabetical order. With one output a number is learned, or two labels are told apart.
 * @throws FileError if the labels are not for the outputs.
 */
export function targetsFor(labels: readonly string[], outputs: number): Targets {
  const names = [...new Set(labels)].sort();
  if (outputs === 1 && labels.every((label) => label.trim() !== '' && Number.isFinite(Number(label)))) {
    return {classes: undefined, values: Float32Array.from(labels, Number)};
  }
  const count = Math.max(outputs, 2);
  if (names.every((name) => isIndex(name, count))) {
    return {
      classes: Array.from({length: count}, (_, i) => `${i}`),
      values: Float32Array.from(labels, Number),
    };
  }
  if (names.length !== count) {
    const shown = `${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;
    throw new FileError(
      `the model has ${outputs} outputs, but the data has ${names.length} labels (${shown}); labels are as many as outputs, or ` +
        `their numbers from 0`,
    );
  }
  const index = new Map(names.map((name, i) => [name, i]));
  return {classes: names, values: Float32Array.from(labels, (label) => index.get(label)!)};
}

/** Rows of a model's inputs and outputs, most to train on and a tenth held out. */
export interface LabelledData {
  train: BatchSource<LabelledBatch>;
  heldOut: BatchSource<LabelledBatch>;
  trainRows: number;
  heldOutRows: number;
}

/**
 * Batches of rows, in an order that the seed decides.
 * @param input Shape of one row.
 * @throws FileError if there are too few rows.
 */
export function labelledData(
  rows: LabelledRows,
  {classes, values}: Targets,
  {input, outputs, batch, seed}: {input: readonly number[]; outputs: number; batch: number; seed: number},
): LabelledData {
  const order = [...shuffled(values.length, seed)];
  const heldOut = order.filter((_, i) => i % HELD_OUT === 0);
  const train = order.filter((_, i) => i % HELD_OUT !== 0);
  if (train.length < batch) {
    throw new FileError(
      `there are ${values.length} rows, too few for a batch of ${batch} beside those held out`,
    );
  }
  const batchOf = (indices: readonly number[]): LabelledBatch => {
    const features = new Float32Array(indices.length * rows.width);
    for (const [i, row] of indices.entries()) {
      features.set(rows.features.subarray(row * rows.width, (row + 1) * rows.width), i * rows.width);
    }
    const some = indices.map((row) => values[row]!);
    const y = tf.tidy(() =>
      classes !== undefined && outputs > 1
        ? tf.cast(tf.oneHot(tf.tensor1d(some, 'int32'), outputs), 'float32')
        : tf.tensor2d(some, [some.length, 1]),
    ) as tf.Tensor2D;
    return {x: tf.tensor(features, [indices.length, ...input]), y, weight: indices.length};
  };
  const perPass = Math.floor(train.length / batch);
  return {
    train: {
      count: perPass,
      batch(index) {
        const pass = shuffled(train.length, seedFor(`pass ${Math.floor(index / perPass)}`, seed));
        const start = (index % perPass) * batch;
        return batchOf([...pass.slice(start, start + batch)].map((i) => train[i]!));
      },
    },
    heldOut: {
      count: Math.ceil(heldOut.length / CHUNK),
      batch: (index) => batchOf(heldOut.slice(index * CHUNK, (index + 1) * CHUNK)),
    },
    trainRows: train.length,
    heldOutRows: heldOut.length,
  };
}
