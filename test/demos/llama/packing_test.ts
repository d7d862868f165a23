import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {generate} from '../../../demos/llama/generate.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {nextTokenLoss} from '../../../demos/llama/loss.ts';
import {
  applyCELoRA,
  type BatchLoss,
  evaluateLoss,
  exampleBatches,
  type TokenBatch,
} from '../../../src/index.ts';
import {modelRunner} from '../../../src/model/apply_model.ts';
import {bits} from '../../model/models.ts';
import {onBackend, tinyModel} from './fixtures.ts';

const TEXTS = [
  [1, 4, 2, 9],
  [3, 3, 8],
  [22, 21, 20, 19, 18, 17],
  [7, 8, 9, 4, 1],
].map((ids, i) => ({
  ids,
  learn: ids.map((_, at) => at > i % 2),
}));

const lossOf =
  (model: LayersModel): BatchLoss<TokenBatch> =>
  ({ids, labels, segments}, apply) =>
    nextTokenLoss(model, ids, labels, {segments, apply});

for (const backend of ['cpu', 'wasm'] as const) {
  describe(`a Llama that takes segments [${backend}]`, () => {
    onBackend(backend);

    it('has for packed texts the loss of one text a row, and without segments is the model without', async () => {
      const {model: plain} = await loadLlama(tinyModel());
      const {model} = await loadLlama(tinyModel(), {segments: true});
      const alone = exampleBatches(TEXTS, {length: 8, batchSize: 2, pack: false});
      const packed = exampleBatches(TEXTS, {length: 16, batchSize: 1});
      expect(packed.rows).to.equal(1);
      const expected = await evaluateLoss(alone, lossOf(plain));
      expect(await evaluateLoss(alone, lossOf(model))).to.equal(expected);
      // only differences of positions matter
      expect(await evaluateLoss(packed, lossOf(model))).to.be.closeTo(expected, 1e-4);
      const error = await evaluateLoss(packed, lossOf(plain)).catch((reason: Error) => reason);
      expect((error as Error).message).to.match(/^nextTokenLoss: .* make the batches with pack: false$/);
      const options = {maxNewTokens: 5, maxPositions: 64};
      expect(await generate(model, [1, 4, 2], options)).to.deep.equal(
        await generate(plain, [1, 4, 2], options),
      );
      plain.dispose();
      model.dispose();
    });

    it('has the same gradients, bit for bit, with its blocks computed again', async () => {
      const gradients = async (checkpointLayers?: number) => {
        const {model} = await loadLlama(tinyModel(), {segments: true});
        applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 0.5, frozenRank: 1, loraDropout: 0.2});
        const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
        const batch = await exampleBatches(TEXTS, {length: 16, batchSize: 1}).batch(0);
        const apply = modelRunner(true, checkpointLayers);
        const {value, grads} = tf.variableGrads(() => lossOf(model)(batch, apply), variables);
        const all = [value, ...variables.map(({name}) => grads[name]!)];
        const found = await Promise.all(all.map(bits));
        tf.dispose([all, batch as unknown as tf.TensorContainer]);
        model.dispose();
        return found;
      };
      const expected = await gradients();
      for (const every of [1, 2]) expect(await gradients(every)).to.deep.equal(expected);
    });
  });
}
