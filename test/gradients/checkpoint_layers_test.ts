import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {celoraDense, installGradientFixes} from '../../src/index.ts';
import {bits, randomTensor, train} from '../model/models.ts';
import {type Block, call, describeBothWays} from './checked.ts';
import {gradientsOf} from './lora_blocks.ts';

/** A residual block of two products with dropout between them, checked or not. */
class ResidualBlock extends tfl.layers.Layer {
  static className = 'CheckedResidualBlock';
  private readonly checked: boolean;
  private readonly dropout = tfl.layers.dropout({rate: 0.3, name: 'block_dropout'});
  private kernels: tfl.LayerVariable[] = [];

  constructor(checked: boolean) {
    super({name: checked ? 'checked' : 'unchecked'});
    this.checked = checked;
  }

  override build([, size]: number[]): void {
    const {glorotNormal} = tfl.initializers;
    this.kernels = [1, 2].map((seed) =>
      this.addWeight(`kernel${seed}`, [size!, size!], 'float32', glorotNormal({seed})),
    );
    this.built = true;
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: {[key: string]: unknown}): tf.Tensor {
    return tf.tidy(() => {
      const [up, down] = this.kernels.map((kernel) => kernel.read() as tf.Variable);
      const block = (x: tf.Tensor) => {
        const hidden = this.dropout.apply(tf.relu(tf.matMul(x, up!)), kwargs) as tf.Tensor;
        return tf.add(x, tf.matMul(hidden, down!));
      };
      return call(this.checked, block as Block, [inputs].flat(), [up!, down!])[0]!;
    });
  }
}

describeBothWays('checkpoint in layers', () => {
  it('drops the same numbers of CELoRADense when it computes them again', async () => {
    const run = async (checked: boolean) => {
      const x = randomTensor([10, 6], 1);
      const layers = ['up', 'down'].map((name) =>
        celoraDense({units: 6, rank: 2, keep: 1, loraDropout: 0.5, name}),
      );
      for (const [i, layer] of layers.entries()) {
        layer.apply(x);
        layer.setWeights(layer.weights.map(({shape}, j) => randomTensor(shape as number[], 10 * i + j + 1)));
      }
      const variables = layers.flatMap(({trainableWeights}) =>
        trainableWeights.map((weight) => weight.read() as tf.Variable),
      );
      const block = (h: tf.Tensor) => layers.reduce((y, layer) => layer.call(y, {training: true}), h);
      const results: number[][] = [];
      for (let step = 0; step < 3; step++) {
        const loss = () => tf.sum(tf.square(call(checked, block as Block, [x], variables)[0]!)) as tf.Scalar;
        results.push(...(await Promise.all(gradientsOf(loss, variables).map(bits))));
      }
      for (const layer of layers) layer.dispose();
      return results;
    };
    const expected = await run(false);
    expect(expected[0], 'another mask in the second step').not.to.deep.equal(expected[4]);
    expect(await run(true)).to.deep.equal(expected);
  });

  it('trains a model under fit as without, with dropout of stock tfjs too', async () => {
    const fixes = installGradientFixes();
    const losses = async (checked: boolean) => {
      const block = new ResidualBlock(checked);
      const model = tfl.sequential({
        layers: [
          tfl.layers.dense({
            units: 6,
            inputShape: [6],
            kernelInitializer: tfl.initializers.glorotNormal({seed: 3}),
          }),
          block,
          tfl.layers.dense({units: 2, kernelInitializer: tfl.initializers.glorotNormal({seed: 4})}),
        ],
      });
      model.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError'});
      const found = await train(model, randomTensor([12, 6], 1), randomTensor([12, 2], 2), 4);
      const weights = await Promise.all(model.getWeights().map(bits));
      model.dispose();
      return {found, weights};
    };
    try {
      const expected = await losses(false);
      expect(await losses(true)).to.deep.equal(expected);
      expect(expected.found.at(-1)).to.be.below(expected.found[0]!);
    } finally {
      fixes.dispose();
    }
  });
});
