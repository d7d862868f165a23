import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {AdamW, applyCELoRA, compileCELoRA, crossEntropy} from '../../src/index.ts';
import {celoraLayers} from '../../src/model/convert.ts';
import {describeWithShaders, expectNoLeaks} from '../backends.ts';
import {idsOf, tinyLM} from './tiny_lm.ts';

/** A model with all that draws random numbers and selects columns, and the loss of one batch. */
function trainee() {
  const model = tinyLM({blocks: 1, dropout: 0.2});
  applyCELoRA(model, {target: /_proj$/, rank: 2, keep: 0.5, frozenRank: 2, loraDropout: 0.2});
  const ids = idsOf(2, 4);
  const labels = tf.reshape(idsOf(2, 4, 11, 1), [8]) as tf.Tensor1D;
  const loss = () =>
    tf.tidy(() => {
      const logits = model.apply(ids, {training: true}) as tf.Tensor3D;
      return crossEntropy(tf.reshape(logits, [8, 11]) as tf.Tensor2D, labels) as tf.Scalar;
    });
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const dispose = () => {
    model.dispose();
    tf.dispose([ids, labels]);
  };
  return {model, loss, variables, dispose};
}

/** Losses of two steps, and the pipelines that those compile. */
async function train({loss, variables}: ReturnType<typeof trainee>): Promise<number[]> {
  const optimizer = new AdamW(0.01, {clipNorm: 1});
  const losses: number[] = [];
  for (let step = 0; step < 2; step++) {
    const value = optimizer.minimize(loss, true, variables)!;
    losses.push((await value.data())[0]!);
    value.dispose();
  }
  optimizer.dispose();
  return losses;
}

describeWithShaders('compileCELoRA', (backend) => {
  it('changes nothing: weights, selections, counters and random numbers are as without it', async () => {
    const [plain, compiled] = [trainee(), trainee()];
    const expected = await train(plain);
    await compileCELoRA(compiled.model, compiled.loss);
    for (const {gradient} of celoraLayers(compiled.model)) expect(gradient.stats.backwardPasses).to.equal(0);
    expect(await train(compiled)).to.deep.equal(expected);
    // in the middle of training too
    await compileCELoRA(compiled.model, compiled.loss);
    expect(await train(compiled)).to.deep.equal(await train(plain));
    plain.dispose();
    compiled.dispose();
  });

  it('compiles what a step needs, once', async () => {
    const one = trainee();
    const first = await compileCELoRA(one.model, one.loss);
    expect(first.milliseconds).to.be.above(0);
    if (backend !== 'webgpu') expect(first.pipelines).to.equal(0);
    else {
      const {device} = tf.backend() as unknown as {device: GPUDevice};
      const {createComputePipeline} = device;
      const made: unknown[] = [];
      device.createComputePipeline = function (descriptor) {
        made.push(descriptor.label);
        return createComputePipeline.call(this, descriptor);
      };
      try {
        await train(one);
      } finally {
        Reflect.deleteProperty(device, 'createComputePipeline');
      }
      expect(made).to.deep.equal([]);
    }
    expect((await compileCELoRA(one.model, one.loss)).pipelines).to.equal(0);
    one.dispose();
  });

  it('leaves no tensor behind, and none of its errors', async () => {
    const one = trainee();
    await expectNoLeaks(() => compileCELoRA(one.model, one.loss));
    const wrong = () => {
      throw new Error('of the loss');
    };
    const message = await compileCELoRA(one.model, wrong).then(
      ({pipelines}) => pipelines,
      (error: Error) => error.message,
    );
    expect(message).to.equal(backend === 'webgpu' ? 'of the loss' : 0);
    expect(await tf.add([1, 2], 1).array()).to.deep.equal([2, 3]);
    one.dispose();
    const frozen = tinyLM({blocks: 1});
    for (const layer of frozen.layers) layer.trainable = false;
    const nothing = await compileCELoRA(frozen, () => tf.scalar(0)).catch((error: Error) => error.message);
    expect(nothing).to.equal(`compileCELoRA: nothing in model ${frozen.name} is trainable`);
  });
});
