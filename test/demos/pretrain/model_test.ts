import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {parseConfig} from '../../../demos/llama/config.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {checkpointOf} from '../../../demos/llama/save.ts';
import {configJson, randomLlama} from '../../../demos/pretrain/model.ts';
import {type PretrainOptions, readOptions} from '../../../demos/pretrain/options.ts';
import {tokenizerFiles} from '../../../demos/pretrain/tokenizer.ts';
import {writeSafetensors} from '../../../src/files/safetensors.ts';
import {expectClose} from '../../backends.ts';
import {memoryFiles, onBackend} from '../llama/fixtures.ts';

const OPTIONS = readOptions([
  ...[
    '--merges=0',
    '--hidden=64',
    '--layers=2',
    '--heads=4',
    '--kv-heads=2',
    '--intermediate=80',
    '--seq=16',
  ],
]) as PretrainOptions;
const JSON_FILE = configJson(OPTIONS, 0);

const logitsOf = (model: LayersModel): tf.Tensor =>
  tf.tidy(() => model.apply(tf.tensor2d([[0, 9, 200, 31, 1]], undefined, 'int32')) as tf.Tensor);

async function deviation(model: LayersModel, layer: string): Promise<number> {
  const values = Float32Array.from(await model.getLayer(layer).weights[0]!.read().data());
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}

describe('randomLlama', () => {
  onBackend('cpu');
  let model: LayersModel;
  before(() => {
    model = randomLlama(parseConfig(JSON_FILE), 3);
  });
  after(() => void model.dispose());

  it('has normal weights of deviation 0.02, smaller where blocks add to the residual stream', async () => {
    for (const name of ['self_attn.q_proj', 'self_attn.v_proj', 'mlp.gate_proj', 'mlp.up_proj']) {
      expect(await deviation(model, `model.layers.1.${name}`), name).to.be.closeTo(0.02, 0.001);
    }
    expect(await deviation(model, 'model.embed_tokens')).to.be.closeTo(0.02, 0.001);
    for (const name of ['self_attn.o_proj', 'mlp.down_proj']) {
      expect(await deviation(model, `model.layers.0.${name}`), name).to.be.closeTo(0.01, 0.0005);
    }
    expect(await deviation(model, 'model.norm')).to.equal(1);
  });

  it('gives layers of one shape other weights, and the same seed the same', async () => {
    const first = async (model: LayersModel, layer: string) =>
      (await model.getLayer(layer).weights[0]!.read().data())[0];
    const again = randomLlama(parseConfig(JSON_FILE), 3);
    const other = randomLlama(parseConfig(JSON_FILE), 4);
    const [gate, up] = ['model.layers.0.mlp.gate_proj', 'model.layers.0.mlp.up_proj'] as const;
    expect(await first(model, gate)).to.not.equal(await first(model, up));
    expect(await first(again, gate)).to.equal(await first(model, gate));
    expect(await first(other, gate)).to.not.equal(await first(model, gate));
    again.dispose();
    other.dispose();
  });

  it('trains all of its weights', () => {
    expect(model.trainableWeights).to.have.lengthOf(model.weights.length);
  });

  // a half has 11 bits: each weight is off by up to 2⁻¹², and the logits are sums of many
  for (const [dtype, tolerance] of [
    ['F32', 1e-6],
    ['F16', 1e-3],
  ] as const) {
    it(`comes back from a checkpoint of ${dtype} with its logits, to ${tolerance}`, async () => {
      const files = memoryFiles({
        'config.json': JSON_FILE,
        ...tokenizerFiles([]),
        'model.safetensors': writeSafetensors(await checkpointOf(model), undefined, dtype),
      });
      const loaded = await loadLlama(files);
      const [logits, expected] = [logitsOf(loaded.model), logitsOf(model)];
      await expectClose(logits, await expected.data(), tolerance);
      tf.dispose([logits, expected]);
      loaded.model.dispose();
    });
  }
});
