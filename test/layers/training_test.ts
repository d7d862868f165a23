import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {type CELoRADense, type CELoRADenseArgs, celoraDense} from '../../src/index.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {
  bits,
  describeOnHost,
  expectSameBits,
  expectSameOutputs,
  mlp,
  outputs,
  randomTensor,
  SMALL,
  small,
  train,
  trainableNames,
  warnings,
  weightBits,
} from '../model/models.ts';

/** 6 → 8 relu → 4, both layers ours. */
function ours(args: Partial<CELoRADenseArgs> = {}): tfl.Sequential {
  return tfl.sequential({
    layers: [
      celoraDense({...SMALL, units: 8, activation: 'relu', inputShape: [6], name: 'hidden', ...args}),
      celoraDense({...SMALL, units: 4, name: 'output', ...args}),
    ],
  });
}

/** The same, with weights that are not random any more. */
function loaded(args: Partial<CELoRADenseArgs> = {}): tfl.Sequential {
  const model = ours(args);
  for (const layer of model.layers) {
    tf.tidy(() => {
      const base = layer.weights.filter(({name}) => !name.includes('lora_'));
      layer.setWeights(base.map(({shape}, i) => tf.mul(randomTensor(shape as number[], i + 10), 0.4)));
    });
  }
  return model;
}

const compile = (model: tfl.LayersModel, rate = 0.05) =>
  model.compile({optimizer: tf.train.sgd(rate), loss: 'meanSquaredError'});

const x = () => randomTensor([10, 6], 1);
const y = () => randomTensor([10, 4], 2);

describeBackends('training CELoRADense', (backend) => {
  it('moves the adapters alone, the base stays bit for bit', async () => {
    const model = loaded(small(backend));
    expect(trainableNames(model)).to.deep.equal([
      'hidden/lora_a',
      'hidden/lora_b',
      'output/lora_a',
      'output/lora_b',
    ]);
    compile(model);
    const base = /kernel|bias/;
    const [frozen, adapters] = [await weightBits(model, base), await weightBits(model, /lora_/)];
    const losses = await train(model, x(), y(), 5);
    expect(losses.at(-1)).to.be.below(losses[0]!);
    expect(await weightBits(model, base)).to.deep.equal(frozen);
    for (const [name, values] of Object.entries(await weightBits(model, /lora_/))) {
      expect(values, name).not.to.deep.equal(adapters[name]);
    }
  });

  it('obeys trainable = false of the layer and of the model, and forgets it again', () => {
    const model = loaded();
    const names = trainableNames(model);
    model.layers[0]!.trainable = false;
    expect(trainableNames(model)).to.deep.equal(['output/lora_a', 'output/lora_b']);
    model.trainable = false;
    expect(trainableNames(model)).to.deep.equal([]);
    model.trainable = true;
    model.layers[0]!.trainable = true;
    expect(trainableNames(model)).to.deep.equal(names);
    const layer = celoraDense({units: 2, inputShape: [3], trainable: false});
    expect(tfl.sequential({layers: [layer]}).trainableWeights).to.deep.equal([]);
    expect(layer.weights.length).to.equal(4);
  });

  it('adds s = alpha / rank, or alpha / √rank with rslora, times (xA)B', async () => {
    const input = randomTensor([3, 6], 3) as tf.Tensor2D;
    const [a, b] = [randomTensor([6, 4], 4) as tf.Tensor2D, randomTensor([4, 5], 5) as tf.Tensor2D];
    const kernel = tf.zeros([6, 5]);
    for (const [rslora, scale] of [
      [false, 2.5],
      [true, 5],
    ] as const) {
      const layer = celoraDense({units: 5, rank: 4, alpha: 10, rslora, useBias: false});
      layer.apply(input);
      layer.setWeights([a, b, kernel]);
      const expected = await tf.mul(tf.matMul(tf.matMul(input, a), b), scale).data();
      await expectClose(layer.apply(input) as tf.Tensor, expected);
      await expectClose(layer.deltaWeight(), await tf.mul(tf.matMul(a, b), scale).data());
    }
  });

  it('drops out inputs of the adapter in training alone, the same ones for a seed', async () => {
    const input = randomTensor([64, 6], 3) as tf.Tensor2D;
    const weights = [tf.eye(6), tf.eye(6), tf.zeros([6, 6])];
    const make = (seed: number) => {
      const layer = celoraDense({
        units: 6,
        rank: 6,
        alpha: 6,
        useBias: false,
        name: 'dropper',
        loraDropout: 0.25,
        seed,
      });
      layer.apply(input);
      layer.setWeights(weights);
      return layer;
    };
    const [layer, same, other] = [make(0), make(0), make(1)];
    await expectSameBits(layer.apply(input) as tf.Tensor, input);
    const training = (of: typeof layer) => of.apply(input, {training: true}) as tf.Tensor;
    const [first, second] = [training(layer), training(layer)];
    const values = await first.data();
    const inputs = await input.data();
    const dropped = values.filter((value) => value === 0).length / values.length;
    expect(dropped).to.be.within(0.15, 0.35);
    for (const [i, value] of values.entries()) {
      if (value !== 0) expect(value).to.be.closeTo(inputs[i]! / 0.75, 1e-5);
    }
    expect(await bits(second)).not.to.deep.equal(await bits(first));
    await expectSameBits(training(same), first);
    await expectSameBits(training(same), second);
    expect(await bits(training(other))).not.to.deep.equal(await bits(first));
  });
});

describeOnHost('CELoRADense in a model', () => {
  it('stands in the summary with all its parameters', () => {
    const model = loaded();
    const lines: string[] = [];
    model.summary(undefined, undefined, (line) => lines.push(line));
    const text = lines.join('\n');
    // 6 · 2 + 2 · 8 + 6 · 8 + 8 and 8 · 2 + 2 · 4 + 8 · 4 + 4
    expect(text).to.match(/hidden \(CELoRADense\)\s+\[\[null,6\]\]\s+\[null,8\]\s+84/);
    expect(text).to.match(/output \(CELoRADense\)\s+\[\[null,8\]\]\s+\[null,4\]\s+60/);
    expect(text).to.include('Total params: 144');
    expect(text).to.include('Trainable params: 52');
    expect(text).to.include('Non-trainable params: 92');
    expect(model.countParams()).to.equal(144);
  });

  it('frees weights and derived state when disposed', async () => {
    const [input, target] = [x(), y()];
    const before = tf.memory();
    const model = loaded();
    const optimizer = tf.train.sgd(0.01);
    model.compile({optimizer, loss: 'meanSquaredError'});
    const built = tf.memory().numTensors;
    await train(model, input, target, 4);
    // A₀, B₀, norms, indices and packed columns of the second layer
    expect(tf.memory().numTensors - built).to.be.at.least(5);
    model.dispose();
    optimizer.dispose();
    expect(tf.memory().numTensors).to.be.at.most(before.numTensors);
  });
});

describeOnHost('training CELoRADense, on', () => {
  it('trains the base too with trainBase', async () => {
    const model = loaded({trainBase: true});
    expect(trainableNames(model).length).to.equal(8);
    compile(model);
    const before = await weightBits(model);
    const losses = await train(model, x(), y(), 12);
    expect(losses.at(-1)).to.be.below(losses[0]!);
    for (const [name, values] of Object.entries(await weightBits(model))) {
      expect(values, name).not.to.deep.equal(before[name]);
    }
  });

  it('with rank 0 is a frozen Dense, or with trainBase one whose dx is approximated', async () => {
    const frozen = tfl.sequential({
      layers: [
        tfl.layers.dense({units: 8, inputShape: [6], name: 'below', trainable: false}),
        celoraDense({...SMALL, units: 4, rank: 0, name: 'head'}),
      ],
    });
    expect(frozen.trainableWeights).to.deep.equal([]);
    expect(frozen.layers[1]!.weights.map(({originalName}) => originalName)).to.deep.equal([
      'head/kernel',
      'head/bias',
    ]);
    const model = loaded({rank: 0, trainBase: true});
    compile(model);
    const losses = await train(model, x(), y(), 12);
    expect(losses.at(-1)).to.be.below(losses[0]!);
    const stats = model.layers.map((layer) => (layer as ReturnType<typeof celoraDense>).gradient.stats);
    // the first layer's input needs no gradient; the second refreshes at passes 1, 4, 7, 10
    expect(stats.map(({backwardPasses}) => backwardPasses)).to.deep.equal([0, 12]);
    expect(stats[1]).to.include({exactPasses: 0, refreshes: 4, kept: 2});
  });

  it('leaves the base product whole under dropout, and trains', async () => {
    const model = loaded({loraDropout: 0.5});
    const input = x();
    // B is zero yet: only the base is left
    const inference = outputs(model, input)[0]!;
    await expectSameBits(model.apply(input, {training: true}) as tf.Tensor, inference);
    compile(model);
    const losses = await train(model, input, y(), 12);
    expect(losses.at(-1)).to.be.below(losses[0]!);
  });

  it('warns once of a random frozen kernel, when training starts', async () => {
    const model = ours();
    compile(model);
    const first = await warnings(() => train(model, x(), y(), 2));
    expect(first.length).to.equal(2);
    expect(first[0]).to.include('hidden').and.include('random, frozen kernel');
    expect(first[1]).to.include('output');
    expect(await warnings(() => train(model, x(), y(), 1))).to.deep.equal([]);
  });

  it('warns once of an adapter that is merged or off, when training starts', async () => {
    const model = loaded();
    compile(model);
    const [first, second] = model.layers as [CELoRADense, CELoRADense];
    first.merge();
    second.adapterEnabled = false;
    expect(await warnings(() => model.predict(x()))).to.deep.equal([]);
    let message = '';
    const both = async () => {
      const error = await train(model, x(), y(), 1).catch((reason: Error) => reason);
      message = (error as Error).message;
    };
    expect(await warnings(both)).to.deep.equal([
      'CELoRADense hidden is being trained without its adapter, which is merged',
      'CELoRADense output is being trained without its adapter, which is off',
    ]);
    expect(message).to.include('Cannot find a connection'); // tfjs's own, which names nothing
    second.adapterEnabled = true;
    expect(await warnings(() => train(model, x(), y(), 2))).to.deep.equal([]);
    first.unmerge();
    expect(await warnings(() => train(model, x(), y(), 1))).to.deep.equal([]);
    first.merge();
    expect(await warnings(() => train(model, x(), y(), 1))).to.have.length(1);
  });

  it('does not warn in inference, with trainBase, or after weights were set or loaded', async () => {
    expect(await warnings(() => ours().predict(x()))).to.deep.equal([]);
    const stock = mlp();
    const byName: tf.NamedTensorMap = {};
    for (const weight of stock.weights) byName[weight.originalName] = weight.read();
    const named = ours();
    named.loadWeights(byName, false);
    for (const model of [loaded(), ours({trainBase: true}), named]) {
      compile(model);
      expect(await warnings(() => train(model, x(), y(), 1))).to.deep.equal([]);
    }
  });

  // tfjs's WebGPU cannot even transpose a mask
  it('keeps leading dimensions and passes masks through', async () => {
    const words = tf.tensor2d([
      [1, 2, 0],
      [3, 0, 0],
    ]);
    const stack = (dense: tfl.layers.Layer, maskZero = true) =>
      tfl.sequential({
        layers: [
          tfl.layers.embedding({inputDim: 4, outputDim: 5, inputLength: 3, maskZero}),
          dense,
          tfl.layers.lstm({units: 2, recurrentInitializer: 'glorotNormal'}),
        ],
      });
    const stock = stack(tfl.layers.dense({units: 6}));
    const masked = stack(celoraDense({units: 6, rank: 2}));
    const unmasked = stack(celoraDense({units: 6, rank: 2}), false);
    for (const model of [masked, unmasked]) {
      for (const [i, layer] of model.layers.entries()) layer.setWeights(stock.layers[i]!.getWeights());
    }
    expect(masked.layers[1]!.supportsMasking).to.equal(true);
    await expectSameOutputs(masked, outputs(stock, words), words);
    expect(await bits(outputs(unmasked, words)[0]!)).not.to.deep.equal(await bits(outputs(stock, words)[0]!));
  });
});
