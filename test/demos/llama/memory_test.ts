import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {loadLlama} from '../../../demos/llama/load.ts';
import {nextTokenLoss} from '../../../demos/llama/loss.ts';
import {trainingMemory} from '../../../demos/llama/memory.ts';
import {applyCELoRA, fineTune, removeCELoRA, textBatches} from '../../../src/index.ts';
import {onBackend, randomTensors, tinyConfig, tinyModel} from './fixtures.ts';

/** The most bytes that tensors take while `work` is done. */
async function peakOf(work: () => Promise<unknown>): Promise<number> {
  const engine = tf.engine();
  const {trackTensor} = engine;
  let peak = 0;
  engine.trackTensor = (...args) => {
    trackTensor.apply(engine, args);
    peak = Math.max(peak, tf.memory().numBytes);
  };
  try {
    await work();
  } finally {
    engine.trackTensor = trackTensor;
  }
  return peak;
}

describe('trainingMemory', () => {
  onBackend('wasm');

  it('is near the peak of a run, for several shapes of models and batches', async () => {
    const wide = {hidden_size: 96, intermediate_size: 256, num_attention_heads: 4, num_key_value_heads: 2};
    for (const [changes, base] of [
      [{...wide, num_hidden_layers: 3}, 'float32'],
      [{...wide, num_hidden_layers: 3}, 'float16'],
      [{...wide, hidden_size: 192, head_dim: 48}, 'float32'],
      [{...wide, hidden_size: 192, head_dim: 48}, 'bfloat16'],
    ] as const) {
      const before = tf.memory().numBytes; // other tests may hold tensors
      const json = tinyConfig({...changes, max_position_embeddings: 128});
      const {model, config} = await loadLlama(tinyModel(json, randomTensors(json)), {base});
      const ids = Int32Array.from({length: 5000}, (_, i) => (i * 7) % config.vocabSize);
      for (const [batch, seq, rank, keep] of [
        [1, 32, 8, 0.5],
        [4, 128, 8, 0.5],
        [4, 64, 4, 1],
      ] as const) {
        applyCELoRA(model, {target: /_proj$/, rank, keep, frozenRank: 8});
        const peak = await peakOf(() =>
          fineTune({
            model,
            data: textBatches(ids, {length: seq, batchSize: batch, seed: 1}),
            steps: 2,
            learningRate: 1e-3,
            loss: (rows, apply) => nextTokenLoss(model, rows.ids, rows.labels, {apply}),
          }),
        );
        removeCELoRA(model);
        const estimated = trainingMemory(config, {batch, seq, rank, keep, frozenRank: 8, base});
        expect(estimated / (peak - before), `${base}, batch ${batch}, seq ${seq}, keep ${keep}`).to.be.within(
          0.75,
          1.25,
        );
      }
      model.dispose();
    }
  });
});
