import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {CELoRADense, deviceRandomUniform, estimateCost} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {productSizes, type Suite, sideBySide} from './suite.ts';

/** Rows, inputs, outputs: the down projection of a 30M and of a 1B Llama. */
const SHAPES = ['1024,1408,512', '1024,512,1408', '512,2048,5632'];
const KEEPS = [0.5, 0.25, 0.0625];
const RANK = 16;

interface Candidate {
  forward: (x: tf.Tensor) => tf.Tensor;
  variables: tf.Variable[];
  /** Multiply-adds of exact LoRA over this one's; undefined for stock. */
  ceiling?: number;
  dispose: () => void;
}

/** What a tfjs user has today: a frozen tf.layers.dense and LoRA by plain ops. */
function stock(inputs: number, units: number): Candidate {
  const dense = tfl.layers.dense({units, useBias: false, trainable: false, inputShape: [inputs]});
  dense.build([null, inputs]);
  const a = tf.variable(tf.randomUniform([inputs, RANK], -0.02, 0.02));
  const b = tf.variable(tf.randomUniform([RANK, units], -0.02, 0.02));
  return {
    forward: (x) => {
      const low = tf.matMul(tf.matMul(x as tf.Tensor2D, a as tf.Tensor2D), b as tf.Tensor2D);
      return tf.add(dense.call(x, {}) as tf.Tensor, tf.mul(low, 2));
    },
    variables: [a, b],
    dispose: () => {
      for (const variable of [a, b, dense.weights[0]!]) variable.dispose();
    },
  };
}

function ours(rows: number, inputs: number, units: number, keep: number): Candidate {
  const options = {rank: RANK, keep, exactEvery: 0};
  const layer = new CELoRADense({units, useBias: false, ...options, inputShape: [inputs]});
  const model = tfl.sequential({layers: [layer]});
  tf.tidy(() => layer.setWeights([tf.mul(deviceRandomUniform([inputs, units], 3), 0.02)]));
  return {
    forward: (x) => layer.apply(x) as tf.Tensor,
    variables: layer.trainableWeights.map((weight) => weight.read() as tf.Variable),
    ceiling: estimateCost(model, rows).ceiling,
    dispose: () => void model.dispose(),
  };
}

/** Waits for the device by reading one number of the last result. */
async function finish(tensor: tf.Tensor): Promise<void> {
  const one = tf.tidy(() => tf.slice(tf.reshape(tensor, [-1]), 0, 1));
  await one.data();
  one.dispose();
}

export async function measureLayer(rows: number, inputs: number, units: number, rounds: number) {
  const x = deviceRandomUniform([rows, inputs], 1);
  const dy = deviceRandomUniform([rows, units], 2);
  const candidates: Record<string, Candidate> = {
    'stock tfjs': stock(inputs, units),
    'exact LoRA, our layer': ours(rows, inputs, units, 1),
    ...Object.fromEntries(KEEPS.map((keep) => [`CE-LoRA keep ${keep}`, ours(rows, inputs, units, keep)])),
  };
  const optimizers = Object.fromEntries(Object.keys(candidates).map((name) => [name, tf.train.adam(1e-4)]));
  // gradients of y itself for a given dy: a loss would add tfjs's host-made array of ones to every candidate
  const grads = ({forward, variables}: Candidate): tf.Tensor[] =>
    tf.grads(() => forward(x))([...variables, x], dy);
  const each = (run: (candidate: Candidate, name: string) => tf.Tensor) =>
    Object.fromEntries(
      Object.entries(candidates).map(([name, candidate]) => [
        name,
        async () => {
          const result = run(candidate, name);
          await finish(result);
          result.dispose();
        },
      ]),
    );
  const takeDx = (all: tf.Tensor[]) => {
    const dx = all.pop()!;
    tf.dispose(all);
    return dx;
  };
  const times = {
    forward: await sideBySide(
      each((candidate) => tf.tidy(() => candidate.forward(x))),
      rounds,
    ),
    'forward + backward': await sideBySide(
      each((candidate) => takeDx(grads(candidate))),
      rounds,
    ),
    step: await sideBySide(
      each((candidate, name) => {
        const all = grads(candidate);
        const own = candidate.variables.map(({name}, i) => ({name, tensor: all[i]!}));
        optimizers[name]!.applyGradients(own);
        return takeDx(all);
      }),
      rounds,
    ),
  };
  const results = Object.entries(candidates).map(([name, {ceiling}]) => ({
    candidate: name,
    forwardMs: times.forward[name]!,
    forwardBackwardMs: times['forward + backward'][name]!,
    stepMs: times.step[name]!,
    ceiling: ceiling ?? null,
  }));
  for (const optimizer of Object.values(optimizers)) optimizer.dispose();
  for (const candidate of Object.values(candidates)) candidate.dispose();
  tf.dispose([x, dy]);
  return results;
}

/** One layer: forward, forward and backward, and a step with Adam on the adapter. */
export const layerSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  const all: object[] = [];
  for (const shape of shapes) {
    const [rows, inputs, units] = productSizes(shape);
    const results = await measureLayer(rows, inputs, units, rounds);
    const stockMs = results[0]!.forwardBackwardMs;
    const exactMs = results[1]!.forwardBackwardMs;
    say(`\n[${rows}, ${inputs}] · [${inputs}, ${units}], rank ${RANK}, ms (median of ${rounds})`);
    say(
      formatTable([
        ['', 'forward', '+ backward', '+ Adam', 'stock ÷', 'exact ÷', 'ceiling'],
        ...results.map(({candidate, forwardMs, forwardBackwardMs, stepMs, ceiling}) => [
          candidate,
          forwardMs.toFixed(2),
          forwardBackwardMs.toFixed(2),
          stepMs.toFixed(2),
          (stockMs / forwardBackwardMs).toFixed(2),
          (exactMs / forwardBackwardMs).toFixed(2),
          ceiling?.toFixed(2) ?? '',
        ]),
      ]),
    );
    all.push({rows, inputs, units, rank: RANK, candidates: results});
  }
  return all;
};
