import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {applyCELoRA, type CELoRAConfig} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {celoraLayer, mlp, randomTensor, train} from './models.ts';

const VARIANTS: Record<string, Partial<CELoRAConfig>> = {
  'columns with frozen factors': {axis: 'columns', frozenRank: 1},
  'columns without, under dropout': {axis: 'columns', frozenRank: 0, loraDropout: 0.1},
  rows: {axis: 'rows'},
};

describeBackends('memory of a converted model under fit', (backend) => {
  for (const [title, variant] of Object.entries(VARIANTS)) {
    const steps = backend === 'webgpu' && !variant.frozenRank ? 30 : 200;
    it(`stays flat over ${steps} steps with a refresh every 7: ${title}`, async () => {
      const model = mlp();
      applyCELoRA(model, {...variant, rank: 2, alpha: 2, keep: 0.5, refreshEvery: 7, exactEvery: 0});
      const [x, y] = [randomTensor([10, 6], 1), randomTensor([10, 4], 2)];
      model.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError'});
      const losses = await train(model, x, y, 8);
      const {numTensors, numDataBuffers} = tf.memory();
      losses.push(...(await train(model, x, y, steps - 8)));
      expect(tf.memory().numTensors).to.equal(numTensors);
      expect(tf.memory().numDataBuffers).to.equal(numDataBuffers);
      expect(losses.at(-1)).to.be.below(losses[0]!);
      const {backwardPasses, exactPasses, refreshes} = celoraLayer(model, 'output').gradient.stats;
      expect({backwardPasses, exactPasses}).to.deep.equal({backwardPasses: steps, exactPasses: 0});
      expect(refreshes).to.equal(variant.axis === 'rows' ? 0 : Math.ceil(steps / 7));
      model.dispose();
    });
  }
});
