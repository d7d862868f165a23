import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type CELoRADenseArgs, celoraDense} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {asStock, expectSameBits, randomTensor} from '../model/models.ts';

type Args = Parameters<typeof tfl.layers.dense>[0];
type Activation = NonNullable<Args['activation']>;

const COMMON: readonly Activation[] = ['linear', 'relu', 'elu', 'tanh', 'softmax', 'sigmoid'];
const ACTIVATIONS: readonly Activation[] = [
  ...COMMON,
  'hardSigmoid',
  'relu6',
  'selu',
  'softplus',
  'softsign',
  'swish',
  'mish',
  'gelu',
  'gelu_new',
];

const SHAPES = [
  [5, 7],
  [2, 3, 7],
  [2, 1, 3, 7],
];

/** A stock Dense with random weights and ours with the same; their outputs, in inference or while a tape records. */
async function expectEqual(args: Args & CELoRADenseArgs, x: tf.Tensor, recording: boolean): Promise<void> {
  const dense = tfl.layers.dense(args);
  dense.apply(x);
  dense.setWeights(dense.weights.map((weight, i) => randomTensor(weight.shape as number[], i + 2)));
  const ours = celoraDense({...args, rank: 2});
  ours.apply(x);
  ours.setWeights(dense.getWeights());
  const run = (layer: tfl.layers.Layer) => {
    if (!recording) return layer.apply(x) as tf.Tensor;
    let y: tf.Tensor | undefined;
    tf.grad((input) => {
      y = tf.keep(layer.apply(input) as tf.Tensor);
      return tf.sum(y);
    })(x);
    return y!;
  };
  await expectSameBits(run(ours), await asStock(() => run(dense)));
}

describeBackends('CELoRADense with B = 0 equals Dense bit for bit', (backend) => {
  // a software WebGPU takes its time over every new shader
  const few = backend === 'webgpu';
  for (const activation of few ? COMMON : ACTIVATIONS) {
    it(`${activation}: ranks 2 to 4, with and without bias, also while a tape records`, async () => {
      for (const shape of few ? SHAPES.slice(0, 2) : SHAPES) {
        for (const useBias of few ? [true] : [true, false]) {
          for (const recording of [false, true]) {
            await expectEqual({units: 6, activation, useBias}, randomTensor(shape), recording);
          }
        }
      }
    });
  }

  it('of a size that takes the vectorised paths', async () => {
    for (const recording of [false, true]) {
      await expectEqual({units: 72, activation: 'relu'}, randomTensor([33, 64]), recording);
    }
  });

  it('int32 and bool inputs', async () => {
    const ints = tf.tensor2d([1, -2, 3, 4, 5, -6], [2, 3], 'int32');
    const flags = tf.tensor2d([true, false, true, true, false, false], [2, 3], 'bool');
    for (const x of [ints, flags]) await expectEqual({units: 4, activation: 'tanh'}, x, false);
  });
});
