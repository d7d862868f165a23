import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {type LoadOptions, loadLlama} from '../../../demos/llama/load.ts';
import {nextTokenLoss} from '../../../demos/llama/loss.ts';
import {applyCELoRA, type HalfFormat, removeCELoRA} from '../../../src/index.ts';
import {describeBackends, expectClose} from '../../backends.ts';
import {nearest} from '../../reference/half.ts';
import {
  expectModelError,
  randomTensors,
  settingsFor,
  type Tensors,
  tinyConfig,
  tinyModel,
} from './fixtures.ts';

const HEADS = {'a tied head': {}, 'a head of its own': {tie_word_embeddings: false}};
/** Room for 5 of the 23 rows of 12 numbers. */
const MOST_BYTES = 4 * 12 * 5;

describeBackends("how a Llama's weights are held", (backend) => {
  settingsFor(backend);

  const ids = () => tf.tensor2d([1, 5, 9, 22, 0, 4], [2, 3], 'int32');
  const labels = () => tf.tensor2d([5, 9, 22, 4, 4, -1], [2, 3], 'int32');

  /** The tensors with the matrices rounded. */
  const rounded = (tensors: Tensors, format: HalfFormat): Tensors =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, {shape, data}]) => [
        name,
        {shape, data: shape.length > 1 ? data.map((value) => nearest(value, format)) : data},
      ]),
    );

  /** Logits, loss and the gradients of fresh adapters of a model, which then is as before. */
  async function resultsOf(model: LayersModel): Promise<Float32Array[]> {
    const logits = model.apply(ids()) as tf.Tensor;
    applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 1});
    const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
    const {value, grads} = tf.variableGrads(() => nextTokenLoss(model, ids(), labels()), variables);
    const results = [logits, value, ...variables.map(({name}) => grads[name]!)];
    const values = await Promise.all(results.map((tensor) => tensor.data<'float32'>()));
    removeCELoRA(model);
    return values;
  }

  async function expectSame(
    json: ReturnType<typeof tinyConfig>,
    files: [Tensors, Tensors],
    options: LoadOptions,
  ) {
    const [{model: whole}, {model}] = await Promise.all([
      loadLlama(tinyModel(json, files[0])),
      loadLlama(tinyModel(json, files[1]), options),
    ]);
    const expected = await resultsOf(whole);
    const found = await resultsOf(model);
    expect(found.length).to.equal(expected.length);
    for (const [i, values] of found.entries()) await expectClose(tf.tensor1d(values), expected[i]!, 1e-4);
    whole.dispose();
    return model;
  }

  for (const [title, changes] of Object.entries(HEADS)) {
    const json = tinyConfig({...changes, num_hidden_layers: 1});
    const tensors = randomTensors(json);

    it(`in parts where a tensor would be too large: ${title}`, async () => {
      const model = await expectSame(json, [tensors, tensors], {mostBytes: MOST_BYTES});
      const parts = model.getLayer('model.embed_tokens').weights.map(({shape}) => shape);
      expect(parts).to.deep.equal([
        [5, 12],
        [5, 12],
        [5, 12],
        [5, 12],
        [3, 12],
      ]);
      const head = model.getLayer('lm_head');
      expect(head.weights.map(({shape}) => shape)).to.deep.equal(
        'tie_word_embeddings' in changes ? parts : [],
      );
      model.dispose();
    });

    for (const base of ['float16', 'bfloat16'] as const) {
      it(`at half precision: ${base}, ${title}`, async () => {
        for (const mostBytes of [undefined, MOST_BYTES]) {
          const options = {base, ...(mostBytes ? {mostBytes} : {})};
          const model = await expectSame(json, [rounded(tensors, base), tensors], options);
          for (const weight of model.weights) {
            expect(weight.read().dtype).to.equal(weight.shape.length > 1 ? 'int32' : 'float32');
          }
          expect(model.trainableWeights.map(({shape}) => shape.length)).to.not.include(2);
          // whatever was done with it, it is as it was loaded
          await expectClose(model.apply(ids()) as tf.Tensor, (await resultsOf(model))[0]!, 1e-6);
          model.dispose();
        }
      });
    }
  }

  it('reports the progress of parts in bytes of the whole', async () => {
    const json = tinyConfig({tie_word_embeddings: false});
    const calls: [number, number][] = [];
    const onProgress = (...call: [number, number]) => calls.push(call);
    const {model} = await loadLlama(tinyModel(json), {mostBytes: MOST_BYTES, onProgress});
    const loaded = calls.map(([bytes]) => bytes);
    expect(loaded).to.deep.equal([...loaded].sort((a, b) => a - b));
    expect(calls.at(-1)![0]).to.equal(calls[0]![1]);
    model.dispose();
  });

  it('refuses numbers that float16 cannot hold, naming the tensor', async () => {
    const json = tinyConfig();
    const tensors = randomTensors(json);
    const name = 'model.layers.1.mlp.up_proj.weight';
    tensors[name]!.data[7] = -7e4;
    const files = tinyModel(json, tensors);
    await expectModelError(
      loadLlama(files, {base: 'float16'}),
      /^model.safetensors: tensor 'model.layers.1.mlp.up_proj.weight' has a number -70000, and float16 holds none/,
    );
    const {model} = await loadLlama(files, {base: 'bfloat16'});
    model.dispose();
  });
});
