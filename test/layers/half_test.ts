import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {
  applyCELoRA,
  type Base,
  type CELoRADense,
  celoraDense,
  estimateCost,
  type HalfFormat,
  mergeCELoRA,
  removeCELoRA,
} from '../../src/index.ts';
import {layoutOf} from '../../src/layers/half_variable.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {
  artifactsOf,
  bits,
  celoraLayer,
  describeOnHost,
  expectSameBits,
  expectSameOutputs,
  layerClasses,
  mlp,
  outputs,
  randomTensor,
  reload,
  SMALL,
  train,
} from '../model/models.ts';
import {nearest} from '../reference/half.ts';

const FORMATS: HalfFormat[] = ['float16', 'bfloat16'];
const x = () => randomTensor([10, 6], 1);
const y = () => randomTensor([10, 4], 2);

/** The same model with kernels that are numbers of the format. */
async function roundKernels(model: tfl.LayersModel, format: HalfFormat): Promise<void> {
  for (const weight of model.weights) {
    if (weight.shape.length < 2) continue;
    const values = (await weight.read().data()).map((value) => nearest(value, format));
    tf.tidy(() => void weight.write(tf.tensor(values, weight.shape as number[])));
  }
}

const kernelBytes = (model: tfl.LayersModel) =>
  model.weights
    .filter(({originalName}) => originalName.endsWith('kernel'))
    .reduce((sum, weight) => sum + 4 * weight.read().size, 0);

const compile = (model: tfl.LayersModel) =>
  model.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError'});

describeBackends('CELoRADense at half precision', (backend) => {
  it('refuses values beyond float16, where they cannot be read at once at the next use', async () => {
    const layer = celoraDense({units: 3, rank: 1, base: 'float16', inputShape: [2], name: 'wide'});
    tfl.sequential({layers: [layer]});
    const before = await layer.getWeights()[2]!.data();
    const large = [tf.fill([2, 3], 1e5), tf.zeros([3])];
    const message =
      "CELoRADense wide: 'float16' holds numbers from -65504 to 65504, but there is one of size 100000";
    if (backend === 'webgpu') {
      layer.setWeights(large);
      await layer.getWeights()[2]!.data();
      await new Promise((resolve) => setTimeout(resolve));
      expect(() => layer.apply(tf.ones([1, 2]))).to.throw(message);
      layer.setWeights([tf.ones([2, 3]), tf.zeros([3])]);
      await expectClose(layer.apply(tf.ones([1, 2])) as tf.Tensor, [2, 2, 2], 1e-3);
    } else {
      expect(() => layer.setWeights(large)).to.throw(message);
      expect(() => layer.baseVariables().kernel.write(large[0]!)).to.throw(message);
      expect(await layer.getWeights()[2]!.data()).to.deep.equal(before);
    }
  });

  it('computes what float32 does with the rounded kernel, forward and back', async () => {
    for (const base of FORMATS) {
      const layers = [base, 'float32' as const].map((one: Base) => {
        const layer = celoraDense({units: 7, rank: 2, keep: 1, base: one, name: 'layer', inputShape: [9]});
        tfl.sequential({layers: [layer]});
        return layer;
      }) as [CELoRADense, CELoRADense];
      const given = [randomTensor([9, 7], 3), randomTensor([7], 4)];
      const rounded = tf.tensor2d(
        (await given[0]!.data()).map((value) => nearest(value, base)),
        [9, 7],
      );
      layers[0].setWeights(given);
      layers[1].setWeights([rounded, given[1]!]);
      for (const layer of layers) {
        for (const name of ['loraA', 'loraB'] as const) {
          const variable = layer.adapters.active![name];
          variable.write(randomTensor(variable.shape as number[], 5));
        }
      }
      const input = randomTensor([5, 9], 6);
      const [value, dx] = layers.map((layer) => {
        const both = tf.valueAndGrad((z: tf.Tensor) => tf.sum(tf.square(layer.apply(z) as tf.Tensor)))(input);
        return [layer.apply(input) as tf.Tensor, both.grad];
      }) as [tf.Tensor[], tf.Tensor[]];
      await expectClose(value[0]!, await dx[0]!.data(), 1e-5);
      await expectClose(value[1]!, await dx[1]!.data(), 1e-5);
    }
  });
});

describeOnHost('a base at half precision', () => {
  for (const base of FORMATS) {
    describe(base, () => {
      it('takes half of the memory of the kernels, and says the same of parameters and cost', () => {
        const [full, half] = [mlp(), mlp()];
        const before = kernelBytes(half);
        const reports = [applyCELoRA(full, SMALL), applyCELoRA(half, {...SMALL, base})] as const;
        expect(kernelBytes(half)).to.equal(before / 2);
        expect(reports[1].totalParams).to.equal(reports[0].totalParams);
        expect(reports[1].trainableParams).to.equal(reports[0].trainableParams);
        expect(estimateCost(half, 10).total).to.deep.equal(estimateCost(full, 10).total);
      });

      it('trains as float32 does with the rounded kernels, and leaves the base as it is', async () => {
        const [full, half] = [mlp(), mlp()];
        half.setWeights(full.getWeights());
        await roundKernels(full, base);
        applyCELoRA(full, {...SMALL, keep: 1});
        applyCELoRA(half, {...SMALL, keep: 1, base});
        const words = await half.getLayer('hidden').getWeights()[2]!.data();
        const losses: number[][] = [];
        for (const model of [full, half]) {
          compile(model);
          const {history} = await model.fit(x(), y(), {epochs: 5, shuffle: false, verbose: 0});
          losses.push(history.loss as number[]);
        }
        for (const [i, loss] of losses[0]!.entries()) expect(losses[1]![i]).to.be.closeTo(loss, 1e-4 * loss);
        expect(losses[1]!.at(-1)).to.be.below(losses[1]![0]!);
        expect(await half.getLayer('hidden').getWeights()[2]!.data()).to.deep.equal(words);
      });

      it('approximates, with its packed columns at half precision', async () => {
        const model = mlp();
        applyCELoRA(model, {...SMALL, base});
        compile(model);
        await train(model, x(), y(), 4);
        const {stats} = celoraLayer(model, 'output').gradient;
        expect(stats).to.include({backwardPasses: 4, exactPasses: 0});
      });

      it('is saved in words, and loads with the same outputs', async () => {
        const model = mlp();
        applyCELoRA(model, {...SMALL, base});
        compile(model);
        await train(model, x(), y(), 2);
        const artifacts = await artifactsOf(model);
        const kernels = artifacts.weightSpecs!.filter(({name}) => name.endsWith('kernel'));
        expect(kernels.map(({dtype}) => dtype)).to.deep.equal(kernels.map(() => 'int32'));
        const loaded = await reload(artifacts);
        expect(celoraLayer(loaded, 'hidden').config.base).to.equal(base);
        await expectSameOutputs(loaded, outputs(model, x()), x());
      });

      it('becomes stock float32 layers: merged with an unrounded sum, removed with the rounded kernel', async () => {
        const model = mlp();
        const original = await model.getLayer('hidden').getWeights()[0]!.data();
        const rounded = original.map((value) => nearest(value, base));
        applyCELoRA(model, {...SMALL, base});
        removeCELoRA(model);
        expect(new Set(layerClasses(model))).to.deep.equal(new Set(layerClasses(mlp())));
        expect(await model.getLayer('hidden').getWeights()[0]!.data()).to.deep.equal(rounded);

        applyCELoRA(model, {...SMALL, base});
        compile(model);
        await train(model, x(), y(), 3);
        const before = outputs(model, x());
        mergeCELoRA(model);
        for (const [i, output] of outputs(model, x()).entries()) {
          await expectClose(output, await before[i]!.data(), 1e-5);
        }
        const loaded = await reload(await artifactsOf(model));
        await expectSameOutputs(loaded, outputs(model, x()), x());
        expect(layerClasses(loaded)).to.not.include('CELoRADense');
      });

      it('merges in place with a rounded sum, and unmerges bit for bit', async () => {
        const model = mlp();
        applyCELoRA(model, {...SMALL, base});
        compile(model);
        await train(model, x(), y(), 3);
        const layer = celoraLayer(model, 'hidden');
        const kernel = () => layer.baseVariables().kernel.read();
        const [words, unmerged] = [await kernel().data(), await outputs(model, x())[0]!.data()];
        layer.merge();
        expect(kernel().dtype).to.equal('int32');
        expect(await kernel().data()).to.not.deep.equal(words);
        await expectClose(outputs(model, x())[0]!, unmerged, base === 'float16' ? 2e-3 : 2e-2);
        layer.unmerge();
        expect(await kernel().data()).to.deep.equal(words);
      });

      it('is built, loaded and converted without a float32 kernel staying, and given back as it was', async () => {
        const layer = celoraDense({units: 8, rank: 0, keep: 1, base, inputShape: [6], name: 'up'});
        const model = tfl.sequential({layers: [layer, tfl.layers.dense({units: 4, name: 'down'})]});
        const given = randomTensor([6, 8], 7);
        layer.baseVariables().kernel.write(given);
        const words = await layer.getWeights()[0]!.data();
        const before = outputs(model, x());
        const report = applyCELoRA(model, SMALL);
        expect(report.layers.map(({name, config}) => [name, config.base])).to.deep.equal([
          ['up', base],
          ['down', 'float32'],
        ]);
        await expectSameOutputs(model, before, x());
        compile(model);
        await train(model, x(), y(), 2);
        removeCELoRA(model);
        expect(model.layers[0]).to.equal(layer);
        expect(await layer.getWeights()[0]!.data()).to.deep.equal(words);
        await expectSameOutputs(model, before, x());
        removeCELoRA(model); // nothing is converted
        expect(model.layers[0]).to.equal(layer);
        applyCELoRA(model, SMALL);
        mergeCELoRA(model);
        expect(layerClasses(model)).to.deep.equal(['Dense', 'Dense']);
        await expectSameBits(
          model.layers[0]!.getWeights()[0]!,
          tf.tensor2d(
            (await given.data()).map((value) => nearest(value, base)),
            [6, 8],
          ),
        );
      });

      it('leaves nothing behind', async () => {
        const {numTensors} = tf.memory();
        const model = mlp();
        const step = () =>
          tf.tidy(() => {
            const loss = () => tf.mean(tf.square(model.apply(x()) as tf.Tensor)) as tf.Scalar;
            tf.variableGrads(
              loss,
              model.trainableWeights.map((weight) => weight.read() as tf.Variable),
            );
          });
        const held = tf.memory().numTensors;
        applyCELoRA(model, {...SMALL, base});
        const adapted = tf.memory().numTensors;
        expect(adapted).to.equal(held + 4);
        step();
        removeCELoRA(model);
        expect(tf.memory().numTensors).to.equal(held);
        applyCELoRA(model, {...SMALL, base});
        step();
        model.dispose();
        expect(tf.memory().numTensors).to.equal(numTensors);
      });
    });
  }

  it('refuses a kernel with numbers that float16 cannot hold, and leaves the model as it was', async () => {
    const model = mlp();
    const second = model.getLayer('output');
    const [kernel, bias] = second.getWeights() as [tf.Tensor, tf.Tensor];
    second.setWeights([tf.add(kernel, 70000), bias]);
    const before = outputs(model, x());
    expect(() => applyCELoRA(model, {...SMALL, base: 'float16'})).to.throw(
      /^CELoRADense output: 'float16' holds numbers from -65504 to 65504, but there is one of size 7000\d/,
    );
    expect(layerClasses(model)).to.not.include('CELoRADense');
    await expectSameOutputs(model, before, x());
    applyCELoRA(model, {...SMALL, base: 'bfloat16'});
  });

  it('refuses options that do not go with it, by name', () => {
    const fails = (args: object, message: string) =>
      expect(() => celoraDense({units: 3, name: 'a', base: 'float16', ...args})).to.throw(message);
    fails({trainBase: true}, "CELoRADense a: base must be 'float32' with trainBase, but is 'float16'");
    fails(
      {kernelRegularizer: 'l1l2'},
      "CELoRADense a: base must be 'float32' with kernelRegularizer, but is 'float16'",
    );
    fails(
      {kernelConstraint: 'nonNeg', base: 'bfloat16'},
      "CELoRADense a: base must be 'float32' with kernelConstraint, but is 'bfloat16'",
    );
    const model = tfl.sequential({
      layers: [celoraDense({units: 3, rank: 0, keep: 1, base: 'float16', inputShape: [4], name: 'b'})],
    });
    expect(() => applyCELoRA(model, {rank: 1, base: 'bfloat16'})).to.throw(
      "applyCELoRA, layer b: base must be 'float16', as it is now, but is 'bfloat16'",
    );
    expect(layoutOf((model.layers[0] as CELoRADense).baseVariables().kernel)?.format).to.equal('float16');
  });

  it('refuses tensors of another shape as stock layers do', async () => {
    const layer = celoraDense({units: 3, rank: 1, base: 'float16', inputShape: [2]});
    tfl.sequential({layers: [layer]});
    const words = await bits(layer.getWeights()[2]!);
    expect(() => layer.setWeights([tf.ones([2, 5]), tf.zeros([3])])).to.throw(/shape/);
    expect(() => layer.baseVariables().kernel.write(tf.ones([4, 3]))).to.throw(/Shape mismatch/);
    expect(await bits(layer.getWeights()[2]!)).to.deep.equal(words);
  });
});
