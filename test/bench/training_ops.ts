import * as tf from '@tensorflow/tfjs-core';
import {deviceRandomUniform} from '../../src/index.ts';
import * as names from '../../src/kernels/kernel_names.ts';
import {runKernel} from '../../src/kernels/register.ts';
import * as training from '../../src/kernels/training_kernel_names.ts';
import type {OpEntry, OpSizes} from './op_entry.ts';

type Tensors = tf.Tensor | tf.Tensor[];

const RANK = 16;
const LAYERS = 4;

/** An entry whose kernel moves these bytes. */
const entry = (name: string, bytes: number, operands: () => object, attrs: object = {}): OpEntry => ({
  name,
  bytes,
  make: () => {
    const inputs = operands();
    return () => runKernel<Tensors>(name, inputs, attrs);
  },
});

/** tf.randomNormal takes seconds for a matrix of logits. */
const uniform = (...shape: number[]): tf.Tensor => deviceRandomUniform(shape, 1);
const ids = (count: number, classes: number): tf.Tensor =>
  tf.tensor1d(
    Array.from({length: count}, (_, i) => (i * 7919) % classes),
    'int32',
  );

function loss({rows, vocabulary}: OpSizes): OpEntry[] {
  const inputs = () => ({logits: uniform(rows, vocabulary), labels: ids(rows, vocabulary)});
  const bytes = 4 * rows * vocabulary;
  const attrs = {classes: vocabulary, ignoreLabel: -100};
  return [
    entry(training.CountLabels, 8 * rows, () => ({labels: ids(rows, vocabulary)}), attrs),
    entry(training.CrossEntropy, bytes, inputs),
    entry(training.CrossEntropyGrad, 2 * bytes, () => {
      const ofRows = {top: uniform(rows), total: tf.ones([rows])};
      return {...inputs(), ...ofRows, scale: tf.scalar(1 / rows)};
    }),
  ];
}

function embedding({rows, hidden, vocabulary}: OpSizes): OpEntry[] {
  const attrs = {classes: vocabulary};
  const tableAndIds = () => ({table: uniform(vocabulary, hidden), ids: ids(rows, vocabulary)});
  const dyAndIds = () => ({dy: uniform(rows, hidden), ids: ids(rows, vocabulary)});
  return [
    entry(training.EmbeddingLookup, 8 * rows * hidden, tableAndIds, attrs),
    entry(training.EmbeddingGrad, 4 * (rows + vocabulary) * hidden, dyAndIds, attrs),
  ];
}

/** The adapters' shapes, as of LoRA on all seven projections of four layers. */
function adapterShapes({hidden, ffn, heads, kvHeads}: OpSizes): number[][] {
  const kv = (hidden / heads) * kvHeads;
  const projections = [
    [hidden, hidden],
    [hidden, kv],
    [hidden, kv],
    [hidden, hidden],
    [hidden, ffn],
    [hidden, ffn],
    [ffn, hidden],
  ] as const;
  const layer = projections.flatMap(([inputs, units]) => [
    [inputs, RANK],
    [RANK, units],
  ]);
  return Array.from({length: LAYERS}, () => layer).flat();
}

function optimizer(sizes: OpSizes): OpEntry[] {
  const shapes = adapterShapes(sizes);
  const count = shapes.reduce((sum, [rows, columns]) => sum + rows! * columns!, 0);
  const vectors = (...keys: string[]) => Object.fromEntries(keys.map((key) => [key, uniform(count)]));
  const rates = {learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01};
  const step = () => ({...vectors('params', 'grads', 'm', 'v'), scale: tf.scalar(1)});
  return [
    entry(training.PackTensors, 8 * count, () => shapes.map((shape) => uniform(...shape))),
    entry(training.UnpackTensors, 8 * count, () => vectors('flat'), {shapes}),
    entry(training.GlobalNorm, 4 * count, () => vectors('flat'), {maxNorm: 1}),
    entry(training.AdamWStep, 28 * count, step, {...rates, decayed: count, step: 1}),
  ];
}

function random({rows, hidden, ffn}: OpSizes): OpEntry[] {
  const attrs = {shape: [rows, ffn], seed: 1};
  return [
    entry(names.DeviceRandomUniform, 4 * rows * ffn, () => ({}), attrs),
    entry(names.DropoutMask, 4 * rows * ffn, () => ({}), {...attrs, rate: 0.1}),
    entry(names.SampleRows, 4 * rows * hidden, () => ({dy: uniform(rows, hidden)}), {
      rows: Math.ceil(rows / 2),
      offset: 0.5,
    }),
  ];
}

export const trainingOps = (sizes: OpSizes): OpEntry[] => [
  ...loss(sizes),
  ...embedding(sizes),
  ...optimizer(sizes),
  ...random(sizes),
];
