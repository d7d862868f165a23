import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type {LlamaConfig} from '../../demos/llama/config.ts';
import {rotaryFrequencies} from '../../demos/llama/rotary.ts';
import {checkpoint, deviceRandomUniform} from '../../src/index.ts';

/** What a bench trains: a loss on the tape, the variables it is trained by, and how to be rid of it. */
export interface Trainee {
  loss: () => tf.Scalar;
  variables: tf.Variable[];
  dispose: () => void;
}

/** How a tfjs user writes a frozen projection today: a frozen `tf.layers.dense`, or a plain product. */
export type Projection = 'dense' | 'matMul';

const SCALE = 2;
const WIDTH = 0.02;

/** Numbers of a small variance, made on the device: a model of a billion takes minutes in JavaScript. */
export function smallRandom(shape: number[], seed: number): tf.Tensor {
  return tf.tidy(() => tf.mul(tf.sub(deviceRandomUniform(shape, seed), 0.5), 2 * Math.sqrt(3) * WIDTH));
}

/**
 * A Llama with LoRA of plain tfjs operations, as a user without this package would write it: heads repeated by `tile`,
 * softmax over a masked [t, t], a one-hot cross-entropy. `checkpointed`: every layer is computed again in backward. Random weights: it measures time and memory, nothing else.
 */
export function stockLlama(
  config: LlamaConfig,
  projection: Projection,
  rank: number,
  ids: tf.Tensor2D,
  labels: tf.Tensor2D,
  {checkpointed = false} = {},
): Trainee {
  const {hiddenSize, intermediateSize, numHeads, numKvHeads, headDim, vocabSize} = config;
  const [batch, t] = ids.shape;
  const adapters: tf.Variable[] = [];
  const frozen: {dispose: () => void}[] = [];
  let seed = 1;
  const fixed = (shape: number[]) => {
    const made = tf.variable(smallRandom(shape, seed++), false);
    frozen.push(made);
    return made as tf.Tensor2D;
  };
  const frozenProduct = (inputs: number, units: number): ((x: tf.Tensor) => tf.Tensor) => {
    if (projection === 'matMul') {
      const kernel = fixed([inputs, units]);
      return (x) => tf.reshape(tf.matMul(tf.reshape(x, [-1, inputs]), kernel), [batch, t, units]);
    }
    const dense = tfl.layers.dense({units, useBias: false, trainable: false, kernelInitializer: 'zeros'});
    dense.build([null, inputs]);
    dense.setWeights([smallRandom([inputs, units], seed++)]);
    frozen.push(dense.weights[0]!);
    return (x) => dense.apply(x) as tf.Tensor;
  };
  const projected = (inputs: number, units: number): ((x: tf.Tensor) => tf.Tensor) => {
    const base = frozenProduct(inputs, units);
    const a = tf.variable(smallRandom([inputs, rank], seed++)) as tf.Variable<tf.Rank.R2>;
    const b = tf.variable(smallRandom([rank, units], seed++)) as tf.Variable<tf.Rank.R2>;
    adapters.push(a, b);
    return (x) => {
      const low = tf.matMul(tf.matMul(tf.reshape(x, [-1, inputs]), a), b);
      return tf.add(base(x), tf.reshape(tf.mul(low, SCALE), [batch, t, units]));
    };
  };
  const layers = Array.from({length: config.numLayers}, () => ({
    q: projected(hiddenSize, numHeads * headDim),
    k: projected(hiddenSize, numKvHeads * headDim),
    v: projected(hiddenSize, numKvHeads * headDim),
    o: projected(numHeads * headDim, hiddenSize),
    gate: projected(hiddenSize, intermediateSize),
    up: projected(hiddenSize, intermediateSize),
    down: projected(intermediateSize, hiddenSize),
  }));
  const head = frozenProduct(hiddenSize, vocabSize);
  const table = fixed([vocabSize, hiddenSize]);
  const gain = tf.variable(tf.ones([hiddenSize]), false);
  const frequencies = tf.tensor2d(Float32Array.from(rotaryFrequencies(config)), [1, headDim / 2]);
  const angles = tf.matMul(tf.reshape(tf.range(0, t), [t, 1]), frequencies);
  const [cos, sin] = [
    tf.concat([tf.cos(angles), tf.cos(angles)], 1),
    tf.concat([tf.sin(angles), tf.sin(angles)], 1),
  ];
  const mask = tf.mul(tf.sub(tf.linalg.bandPart(tf.ones([t, t]), -1, 0), 1), 1e9);
  tf.dispose([frequencies, angles]);
  frozen.push(gain, cos, sin, mask);

  const norm = (x: tf.Tensor) =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), config.rmsNormEps))), gain);
  const heads = (x: tf.Tensor, count: number) =>
    tf.transpose(tf.reshape(x, [batch, t, count, headDim]), [0, 2, 1, 3]);
  const rotated = (x: tf.Tensor) => {
    const [a, b] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
    return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(b), a], -1), sin));
  };
  const repeated = (x: tf.Tensor) => {
    if (numHeads === numKvHeads) return x;
    const flat = tf.reshape(x, [batch, numKvHeads, 1, t * headDim]);
    return tf.reshape(tf.tile(flat, [1, 1, numHeads / numKvHeads, 1]), [batch, numHeads, t, headDim]);
  };
  const attended = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) => {
    const keys = repeated(rotated(heads(k, numKvHeads)));
    const scores = tf.mul(tf.matMul(rotated(heads(q, numHeads)), keys, false, true), 1 / Math.sqrt(headDim));
    const y = tf.matMul(tf.softmax(tf.add(scores, mask)), repeated(heads(v, numKvHeads)));
    return tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [batch, t, numHeads * headDim]);
  };
  const loss = () => {
    let x = tf.gather(table, ids) as tf.Tensor;
    for (const [i, layer] of layers.entries()) {
      const block = (x: tf.Tensor) => {
        const forAttention = norm(x);
        const heard = attended(layer.q(forAttention), layer.k(forAttention), layer.v(forAttention));
        const between = tf.add(x, layer.o(heard));
        const forMlp = norm(between);
        const gate = layer.gate(forMlp);
        return tf.add(between, layer.down(tf.mul(tf.mul(gate, tf.sigmoid(gate)), layer.up(forMlp))));
      };
      // seven projections with two variables each
      x = checkpointed ? checkpoint(block, [x], adapters.slice(14 * i, 14 * (i + 1))) : block(x);
    }
    const logits = tf.reshape(head(norm(x)), [batch * t, vocabSize]);
    const wanted = tf.oneHot(tf.reshape(labels, [-1]) as tf.Tensor1D, vocabSize);
    return tf.neg(tf.mean(tf.sum(tf.mul(wanted, tf.logSoftmax(logits)), -1))) as tf.Scalar;
  };
  return {
    loss: () => tf.tidy(loss),
    variables: adapters,
    dispose: () => {
      for (const held of [...adapters, ...frozen]) held.dispose();
    },
  };
}
