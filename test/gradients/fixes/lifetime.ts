/**
 * Says, as JSON, when stock tfjs is changed and when it is as it was. In a process of its own, since layers that other
 * tests made may hold the fixes; run by install_test.ts.
 */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import {
  applyCELoRA,
  celoraDense,
  installEarlyFreeing,
  installGradientFixes,
  mergeCELoRA,
  registerCELoRAGradients,
  removeCELoRA,
} from '../../../src/index.ts';

await tf.setBackend('cpu');
tf.registerKernel({
  kernelName: tf.Step,
  backendName: 'tensorflow',
  kernelFunc: () => {
    throw new Error('the stock kernel');
  },
});

const dropout = Object.getPrototypeOf(tfl.layers.dropout({rate: 0.5})) as object;
const kernels = Object.values(tf).filter((name) => typeof name === 'string');

/** All that an installer may touch: the objects themselves, not what is in them. */
const state = (): unknown[] => [
  ...kernels.map((kernel) => tf.getGradient(kernel)),
  ...kernels.flatMap((kernel) => ['cpu', 'wasm', 'tensorflow'].map((name) => tf.getKernel(kernel, name))),
  ...Object.values(Object.getOwnPropertyDescriptors(dropout)).flatMap(({value, enumerable}) => [
    value,
    enumerable,
  ]),
  ...Reflect.ownKeys(tf.engine()).filter((key) => typeof Reflect.get(tf.engine(), key) === 'function'),
];

const stock = state();
const isStock = (): boolean => {
  const now = state();
  return now.length === stock.length && now.every((value, i) => value === stock[i]);
};

/** Training losses of a model with sums and means; without tile, whose copies the fix sums in another order. */
async function losses(): Promise<number[]> {
  const input = tfl.input({shape: [6]});
  const hidden = tfl.layers.dense({units: 8, activation: 'relu', name: 'hidden'}).apply(input);
  const normal = tfl.layers.batchNormalization({name: 'normal'}).apply(hidden);
  const both = tfl.layers.concatenate({name: 'both'}).apply([hidden, normal] as tfl.SymbolicTensor[]);
  const output = tfl.layers.dense({units: 4, activation: 'softmax', name: 'output'}).apply(both);
  const model = tfl.model({inputs: input, outputs: output as tfl.SymbolicTensor});
  for (const [i, weight] of model.weights.entries()) {
    if (weight.originalName.includes('kernel')) {
      weight.write(tf.randomNormal(weight.shape as number[], 0, 0.4, 'float32', i + 1));
    }
  }
  model.compile({optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy'});
  const x = tf.randomNormal([12, 6], 0, 1, 'float32', 5);
  const y = tf.oneHot(tf.tensor1d([0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3], 'int32'), 4);
  const {history} = await model.fit(x, y, {epochs: 5, batchSize: 12, shuffle: false, verbose: 0});
  model.dispose();
  return history.loss as number[];
}

const log: Record<string, unknown> = {};
/** Notes whether tfjs is stock after each step. */
const note = (title: string): void => {
  log[title] = isStock() ? 'stock' : 'changed';
};

note('import');
const expected = await losses();

const [first, second] = [installGradientFixes(), installGradientFixes()];
note('two fixes');
log.losses = JSON.stringify(await losses()) === JSON.stringify(expected) ? 'the same' : 'others';
const changed = state();
first.dispose();
first.dispose();
log['one of two disposed, twice'] = state().every((value, i) => value === changed[i])
  ? 'unchanged'
  : 'changed';
second.dispose();
note('both disposed');

const freeing = installEarlyFreeing();
note('early freeing');
log.freeingLosses = JSON.stringify(await losses()) === JSON.stringify(expected) ? 'the same' : 'others';
const fixes = installGradientFixes();
freeing.dispose();
note('fixes after early freeing');
fixes.dispose();
note('disposed in the order of installation');

const hook = registerCELoRAGradients();
note('hook');
hook.dispose();
note('hook disposed');

const layer = celoraDense({units: 3});
note('layer made');
layer.apply(tf.ones([1, 4]));
note('layer built');
layer.dispose();
note('layer disposed');

for (const [name, end] of Object.entries({mergeCELoRA, removeCELoRA})) {
  const model = tfl.sequential({layers: [tfl.layers.dense({units: 3, inputShape: [4]})]});
  applyCELoRA(model, {rank: 2});
  note(`before ${name}`);
  end(model);
  note(`after ${name}`);
}
console.log(JSON.stringify(log));
