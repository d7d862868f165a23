import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {loadLlama} from '../../../demos/llama/load.ts';
import {causalLoss, nextTokenLoss} from '../../../demos/llama/loss.ts';
import {applyCELoRA, type CELoRADense, removeCELoRA} from '../../../src/index.ts';
import {describeBackends, expectClose} from '../../backends.ts';
import {workOf} from '../../ops/profile.ts';
import {settingsFor, tinyConfig, tinyModel} from './fixtures.ts';

const HEADS = {'a tied head': {}, 'a head of its own': {tie_word_embeddings: false}};

describeBackends('the loss of the next token', (backend) => {
  settingsFor(backend);

  const ids = () =>
    tf.tensor2d(
      [
        [1, 5, 9, 22, 3],
        [0, 7, 7, 12, 20],
      ],
      undefined,
      'int32',
    );
  const labels = () =>
    tf.tensor2d(
      [
        [5, 9, 22, 3, -1],
        [-1, -1, 12, 20, 4],
      ],
      undefined,
      'int32',
    );

  const fused = (model: LayersModel) => () => nextTokenLoss(model, ids(), labels());
  const plain = (model: LayersModel) => () => causalLoss(model.apply(ids()) as tf.Tensor, labels());

  /** Both losses, and their gradients with respect to all that trains. */
  async function expectEqual(model: LayersModel): Promise<void> {
    const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
    const [found, expected] = [fused, plain].map((loss) => tf.variableGrads(loss(model), variables));
    await expectClose(found!.value, await expected!.value.data(), 1e-5);
    for (const {name} of variables) {
      await expectClose(found!.grads[name]!, await expected!.grads[name]!.data(), 1e-4);
    }
    tf.dispose([found!, expected!]);
  }

  for (const [title, changes] of Object.entries(HEADS)) {
    it(`is that of the logits, and so are its gradients: ${title}`, async () => {
      const {model} = await loadLlama(tinyModel(tinyConfig({...changes, num_hidden_layers: 1})));
      await expectEqual(model);
      applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 1});
      await expectEqual(model);
      model.dispose();
    });
  }

  it('follows the head as it is converted and converted back', async () => {
    const {model} = await loadLlama(
      tinyModel(tinyConfig({tie_word_embeddings: false, num_hidden_layers: 1})),
    );
    const target = 'lm_head';
    nextTokenLoss(model, ids(), labels()).dispose();
    for (const options of [
      {rank: 2, keep: 1},
      {rank: 0, keep: 1},
    ]) {
      applyCELoRA(model, {...options, target, freezeRest: false});
      await expectEqual(model);
      removeCELoRA(model);
    }
    await expectEqual(model);
    applyCELoRA(model, {rank: 0, keep: 0.5, frozenRank: 0, exactEvery: 0, target, freezeRest: false});
    const head = model.getLayer('lm_head') as CELoRADense;
    const variables = [model.getLayer('model.norm').weights[0]!.read() as tf.Variable];
    tf.dispose(tf.variableGrads(fused(model), variables));
    expect(head.gradient.stats).to.include({backwardPasses: 1, exactPasses: 0});
    model.dispose();
  });

  it('leaves no tensor behind but what the model keeps', async () => {
    const {model} = await loadLlama(tinyModel());
    nextTokenLoss(model, ids(), labels()).dispose();
    const before = tf.memory();
    nextTokenLoss(model, ids(), labels(), {training: true}).dispose();
    const after = tf.memory();
    // the ids and labels made here
    expect(after.numTensors - before.numTensors).to.equal(2);
    model.dispose();
  });

  it('never makes the logits of a frozen head twice, nor a gradient of it', async function () {
    if (backend !== 'cpu' && backend !== 'wasm') this.skip();
    const {model} = await loadLlama(tinyModel());
    applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 1});
    const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
    const products = async (loss: (model: LayersModel) => () => tf.Scalar) => {
      const counts = await workOf(() => tf.variableGrads(loss(model), variables));
      return (counts[tf.BatchMatMul] ?? 0) + (counts[tf._FusedMatMul] ?? 0);
    };
    expect(await products(fused)).to.equal(await products(plain));
    model.dispose();
  });
});
