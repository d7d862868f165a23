import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {parseConfig} from '../../../demos/llama/config.ts';
import type {JsonObject} from '../../../demos/llama/files.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {causalLoss} from '../../../demos/llama/loss.ts';
import {buildLlama} from '../../../demos/llama/model.ts';
import {describeBackends} from '../../backends.ts';
import {crossEntropy, llamaLogits} from '../../reference/llama.ts';
import {onBackend, randomTensors, settingsFor, tinyConfig, tinyModel, VARIANTS} from './fixtures.ts';

const IDS = [
  [1, 5, 9, 22, 3, 0, 7, 7, 12, 20, 4],
  [1, 8, 2, 2, 19, 6, 21, 11, 10, 13, 14],
];

const load = async (json: JsonObject) => (await loadLlama(tinyModel(json))).model;

function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).to.equal(expected.length);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(actual[i]! - expected[i]!));
  return largest;
}

describeBackends('Llama', (backend) => {
  settingsFor(backend);

  for (const [name, changes] of Object.entries(VARIANTS)) {
    it(`computes the logits of the float64 reference: ${name}`, async () => {
      const json = tinyConfig(changes);
      const model = await load(json);
      const logits = model.predict(tf.tensor2d(IDS, undefined, 'int32')) as tf.Tensor3D;
      const weights = new Map(Object.entries(randomTensors(json)));
      const expected = IDS.flatMap((ids) =>
        llamaLogits(parseConfig(json), weights, ids).flatMap((row) => [...row]),
      );
      expect(logits.shape).to.deep.equal([2, 11, 23]);
      expect(Math.max(...expected)).to.be.above(1);
      expect(largestDifference(await logits.data(), expected)).to.be.below(5e-5);
      tf.dispose(logits);
      model.dispose();
    });
  }

  it('gives each position the same logits whatever follows it', async () => {
    const model = await load(tinyConfig());
    const [short, long] = tf.tidy(() => [
      model.apply(tf.tensor2d([[1, 5, 9]], undefined, 'int32')) as tf.Tensor,
      tf.slice(model.apply(tf.tensor2d([[1, 5, 9, 4, 4]], undefined, 'int32')) as tf.Tensor3D, 0, [1, 3, -1]),
    ]);
    expect(largestDifference(await short!.data(), await long!.data())).to.be.below(1e-5);
    tf.dispose([short!, long!]);
    model.dispose();
  });

  it('keeps the number of tensors flat over steps of several lengths, none when disposed', async () => {
    const before = tf.memory();
    const model = await load(tinyConfig());
    const step = (length: number) =>
      tf.tidy(() => {
        const ids = tf.fill([2, length], 3, 'int32');
        const variables = model.getLayer('model.layers.0.mlp.up_proj').trainableWeights;
        tf.variableGrads(
          () => causalLoss(model.apply(ids) as tf.Tensor, ids),
          variables.map((weight) => weight.read() as tf.Variable),
        );
      });
    step(5);
    const settled = tf.memory();
    for (const length of [5, 7, 1, 7, 5]) step(length);
    expect(tf.memory().numTensors).to.equal(settled.numTensors);
    expect(tf.memory().numDataBuffers).to.equal(settled.numDataBuffers);
    model.dispose();
    expect(tf.memory().numTensors).to.equal(before.numTensors);
    expect(tf.memory().numDataBuffers).to.equal(before.numDataBuffers);
  });
});

describe('Llama', () => {
  onBackend('cpu');

  for (const [name, changes] of Object.entries(VARIANTS)) {
    it(`has the gradient of every weight that differences of the reference give: ${name}`, async () => {
      const json = tinyConfig({...changes, num_hidden_layers: 1});
      const config = parseConfig(json);
      const tensors = randomTensors(json);
      const model = await load(json);
      const ids = [1, 5, 9, 22, 3, 0, 7];
      const labels = [5, 9, -1, 3, 0, 7, 2];
      const {value, grads} = tf.variableGrads(() => {
        const logits = model.apply(tf.tensor2d([ids], undefined, 'int32')) as tf.Tensor;
        return causalLoss(logits, tf.tensor2d([labels], undefined, 'int32'));
      });
      const weights = new Map(
        Object.entries(tensors).map(([key, {shape, data}]) => [key, {shape, data: Float64Array.from(data)}]),
      );
      const loss = () => crossEntropy(llamaLogits(config, weights, ids), labels);
      expect((await value.data())[0]).to.be.closeTo(loss(), 1e-5);

      for (const [key, {shape, data}] of weights) {
        const [layer, kind] = [key.slice(0, key.lastIndexOf('.')), key.slice(key.lastIndexOf('.') + 1)];
        const variables = model.getLayer(layer).weights;
        const grad = grads[(kind === 'bias' ? variables[1]! : variables[0]!).name]!;
        const found = await grad.data();
        const isKernel = shape.length === 2 && layer !== 'model.embed_tokens';
        for (const index of [0, Math.floor(data.length / 3), data.length - 1]) {
          const original = data[index]!;
          const at = (value: number) => {
            data[index] = value;
            return loss();
          };
          const expected = (at(original + 1e-5) - at(original - 1e-5)) / 2e-5;
          data[index] = original;
          const [row, column] = [Math.floor(index / shape[1]!), index % shape[1]!];
          const there = isKernel ? column * shape[0]! + row : index;
          expect(found[there], `${key}[${index}]`).to.be.closeTo(expected, 1e-5);
        }
      }
      tf.dispose([value, grads]);
      model.dispose();
    });
  }

  it('computes no gradient of a frozen table', async () => {
    const model = await load(tinyConfig());
    const step = () =>
      tf.tidy(() => {
        const ids = tf.tensor2d(IDS, undefined, 'int32');
        const norm = model.getLayer('model.norm').weights.map((weight) => weight.read() as tf.Variable);
        tf.variableGrads(() => causalLoss(model.apply(ids) as tf.Tensor, ids), norm);
      });
    const products = async () => {
      const {kernels} = await tf.profile(step);
      return kernels.filter(({name}) => name === 'BatchMatMul').length;
    };
    const trainable = await products();
    model.getLayer('model.embed_tokens').trainable = false;
    expect(await products()).to.equal(trainable - 1);
    model.dispose();
  });

  it('is saved and loaded as any layers-model', async () => {
    const model = await load(tinyConfig(VARIANTS['llama3 rope scaling']));
    let saved: tf.io.ModelArtifacts | undefined;
    await model.save({
      save: async (artifacts) => {
        saved = artifacts;
        return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
      },
    });
    const {weightData, ...rest} = saved!;
    const throughJson = JSON.parse(JSON.stringify(rest)) as tf.io.ModelArtifacts;
    const copy = await tfl.loadLayersModel({load: async () => ({...throughJson, weightData: weightData!})});
    const ids = tf.tensor2d(IDS, undefined, 'int32');
    const [a, b] = [model, copy].map((m) => m.predict(ids) as tf.Tensor) as [tf.Tensor, tf.Tensor];
    expect(largestDifference(await b.data(), await a.data())).to.equal(0);
    tf.dispose([ids, a, b]);
    model.dispose();
    copy.dispose();
  });

  it('says which sequence is too long', () => {
    const model = buildLlama(parseConfig(tinyConfig({max_position_embeddings: 8})));
    const run = () => tf.tidy(() => model.apply(tf.zeros([1, 9], 'int32')) as tf.Tensor);
    expect(run).to.throw("a sequence of 9 tokens is longer than the model's max_position_embeddings 8");
    model.dispose();
  });
});
