import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, type CELoRAConfig, type CELoRADense} from '../../../src/index.ts';
import {expectClose} from '../../backends.ts';
import {onBackend} from '../../demos/llama/fixtures.ts';
import {randomTensor} from '../../model/models.ts';
import {drawColumns, projectGradients} from './variants.ts';

describe('bench fidelity: variants', () => {
  onBackend('cpu');
  const [rows, inputs, units] = [12, 32, 40];

  /** The activation gradient of a layer, and its kernel. */
  function layerOf(options: Partial<CELoRAConfig>, change: (model: tfl.LayersModel) => void = () => {}) {
    const model = tfl.sequential({
      layers: [tfl.layers.dense({units, inputShape: [inputs], name: 'up_proj'})],
    });
    applyCELoRA(model, {rank: 0, ...options});
    change(model);
    const layer = model.layers[0] as CELoRADense;
    const kernel = layer.baseVariables().kernel.read() as tf.Variable<tf.Rank.R2>;
    kernel.assign(randomTensor([inputs, units], 4) as tf.Tensor2D);
    const pass = (dy: tf.Tensor) => layer.gradient.compute(dy as tf.Tensor2D, kernel, kernel.dataId);
    return {pass, kernel, gradient: layer.gradient};
  }

  const exactOf = (dy: tf.Tensor, kernel: tf.Tensor) =>
    tf.matMul(dy as tf.Tensor2D, kernel as tf.Tensor2D, false, true).data();

  it('project onto the subspace that dx had, and follow it at the next refresh', async () => {
    const {pass, kernel, gradient} = layerOf({refreshEvery: 3}, (model) => projectGradients(model, 4));
    const basis = randomTensor([3, units], 1);
    const inside = (seed: number) =>
      tf.matMul(randomTensor([rows, 3], seed) as tf.Tensor2D, basis as tf.Tensor2D);
    const outside = randomTensor([rows, units], 9);
    for (const dy of [inside(5), inside(6)]) await expectClose(pass(dy), await exactOf(dy, kernel), 1e-4);
    const [found, exact] = [await pass(outside).data(), await exactOf(outside, kernel)];
    const error = Math.hypot(...exact.map((value, i) => value - found[i]!)) / Math.hypot(...exact);
    expect(error).to.be.within(0.5, 1);
    await expectClose(pass(outside), await exactOf(outside, kernel), 1e-4);
    expect(gradient.stats).to.include({backwardPasses: 4, refreshes: 2});
    // two passes of rank 4, and what finding the subspace twice takes away
    const size = rows * inputs * units;
    const saved = 2 * (size - rows * 4 * (inputs + units)) - 2 * 6 * rows * inputs * 4;
    expect(gradient.stats).to.include({multiplyAdds: 4 * size, savedMultiplyAdds: saved});
  });

  it('that draw no column are the best columns', async () => {
    const options = {keep: 0.4, frozenRank: 2, exactEvery: 0};
    const dy = randomTensor([rows, units], 3);
    const best = layerOf(options);
    const drawn = layerOf(options, (model) => drawColumns(model, {share: 0, scale: 2}));
    await expectClose(drawn.pass(dy), await best.pass(dy).data(), 1e-5);
    expect(drawn.gradient.stats.savedMultiplyAdds).to.equal(best.gradient.stats.savedMultiplyAdds);
  });

  it('that draw all columns keep so many, scaled', async () => {
    const {pass, kernel} = layerOf({keep: 0.5, frozenRank: 1}, (model) =>
      drawColumns(model, {share: 1, scale: 2}),
    );
    // one column of dy at a time: its part of dx is there twice, or not at all, beside that of the frozen factors
    const eye = tf.eye(units);
    const dx = (await pass(eye).array()) as number[][];
    const columns = (await tf.transpose(kernel).array()) as number[][];
    const scales = dx.map((row, i) => {
      const norm = columns[i]!.reduce((sum, value) => sum + value ** 2, 0);
      return row.reduce((sum, value, j) => sum + value * columns[i]![j]!, 0) / norm;
    });
    expect(scales.filter((scale) => scale > 1.2).length).to.equal(20);
    expect(scales.filter((scale) => scale < 0.8).length).to.equal(20);
  });
});
