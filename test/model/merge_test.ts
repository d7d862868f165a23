import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, freezeBase, mergeCELoRA, removeCELoRA, setAdapterEnabled} from '../../src/index.ts';
import {expectClose} from '../backends.ts';
import {
  artifactsOf,
  celoraLayer,
  describeOnHost,
  expectSameOutputs,
  layerClasses,
  mlp,
  outputs,
  randomTensor,
  reload,
  SMALL,
  train,
  trainableNames,
  weightBits,
} from './models.ts';

const x = () => randomTensor([10, 6], 1);
const y = () => randomTensor([10, 4], 2);
const compile = (model: tfl.LayersModel) =>
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});

async function trained(model = mlp(), target = y()): Promise<tfl.LayersModel> {
  applyCELoRA(model, SMALL);
  compile(model);
  await train(model, x(), target, 3);
  return model;
}

const refusal = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describeOnHost('mergeCELoRA', () => {
  it('gives the same Dense objects back, which save and load without this package', async () => {
    const model = mlp();
    const {layers} = model;
    const dense = [...layers];
    await trained(model);
    const adapted = await outputs(model, x())[0]!.data();
    mergeCELoRA(model);
    expect(model.layers).to.equal(layers);
    for (const [i, layer] of layers.entries()) expect(layer).to.equal(dense[i]);
    await expectClose(outputs(model, x())[0]!, adapted, 1e-5);
    expect(trainableNames(model)).to.deep.equal([
      'hidden/kernel',
      'hidden/bias',
      'output/kernel',
      'output/bias',
    ]);
    const artifacts = await artifactsOf(model);
    expect(JSON.stringify(artifacts)).not.to.match(/celora|lora_/i);
    await expectSameOutputs(await reload(artifacts), outputs(model, x()), x());
  });

  it('leaves each kernel at W + s·AB, the bias untouched', async () => {
    const model = await trained();
    const layers = ['hidden', 'output'].map((name) => celoraLayer(model, name));
    const sums = layers.map((layer) => tf.add(layer.baseVariables().kernel.read(), layer.deltaWeight()));
    const biases = await weightBits(model, /bias/);
    mergeCELoRA(model);
    for (const [i, layer] of model.layers.entries()) {
      await expectClose(layer.getWeights()[0]!, await sums[i]!.data(), 0);
    }
    expect(await weightBits(model, /bias/)).to.deep.equal(biases);
  });

  it('restores trainable flags of layers and weights as they were', async () => {
    const model = mlp();
    model.layers[0]!.trainable = false;
    applyCELoRA(model, SMALL);
    expect(trainableNames(model).length).to.equal(4);
    mergeCELoRA(model);
    expect(trainableNames(model)).to.deep.equal(['output/kernel', 'output/bias']);
    model.layers[0]!.trainable = true;
    expect(trainableNames(model).length).to.equal(4);
  });

  it('restores the flags from before the first of several conversions', () => {
    const model = mlp();
    applyCELoRA(model, {...SMALL, target: 'hidden'});
    expect(model.layers[1]!.trainable).to.equal(false);
    applyCELoRA(model, {...SMALL, target: 'output'});
    mergeCELoRA(model);
    expect(layerClasses(model)).to.deep.equal(['Dense', 'Dense']);
    expect(trainableNames(model).length).to.equal(4);
  });

  it('restores the flags of a nested model from before its own conversion, and its layers', () => {
    for (const end of [mergeCELoRA, removeCELoRA]) {
      const inner = tfl.sequential({
        name: 'inner',
        layers: [...mlp().layers, tfl.layers.dense({units: 3, name: 'frozen', trainable: false})],
      });
      const outer = tfl.sequential({layers: [inner, tfl.layers.dense({units: 4, name: 'top'})]});
      const names = ['hidden/kernel', 'hidden/bias', 'output/kernel', 'output/bias'];
      const {layers} = inner;
      const stock = [...layers];
      applyCELoRA(inner, {...SMALL, target: 'hidden'});
      applyCELoRA(outer, SMALL);
      expect(trainableNames(outer).every((name) => name.includes('lora_'))).to.equal(true);
      end(outer);
      expect(inner.layers).to.have.ordered.members(stock);
      expect(inner.layers.map(({trainable}) => trainable)).to.deep.equal([true, true, false]);
      expect(trainableNames(inner)).to.deep.equal(names);
      expect(trainableNames(outer)).to.deep.equal([...names, 'top/kernel', 'top/bias']);
    }
  });

  it('restores an inner model alone, and later the rest', () => {
    const inner = mlp();
    const outer = tfl.sequential({layers: [inner, tfl.layers.dense({units: 4, name: 'top'})]});
    applyCELoRA(outer, SMALL);
    mergeCELoRA(inner);
    expect(trainableNames(inner).length).to.equal(4);
    expect(trainableNames(outer).slice(4)).to.deep.equal(['top/lora_a', 'top/lora_b']);
    mergeCELoRA(outer);
    expect(trainableNames(outer).length).to.equal(6);
  });

  it('trains the kernels of a loaded model again, also after another conversion of it', async () => {
    const model = mlp();
    applyCELoRA(model, {...SMALL, target: 'hidden'});
    const loaded = await reload(await artifactsOf(model));
    applyCELoRA(loaded, {...SMALL, target: 'output'});
    mergeCELoRA(loaded);
    expect(loaded.layers[0]!.weights.map(({trainable}) => trainable)).to.deep.equal([true, true]);
    // the file says that the other was frozen
    expect(trainableNames(loaded)).to.deep.equal(['hidden/kernel', 'hidden/bias']);
  });

  it('voids the compile, and the merged model converts again', async () => {
    const model = await trained();
    mergeCELoRA(model);
    expect(() => model.evaluate(x(), y())).to.throw('must compile');
    const merged = outputs(model, x());
    applyCELoRA(model, SMALL);
    await expectSameOutputs(model, merged, x());
    compile(model);
    const losses = await train(model, x(), y(), 6);
    expect(losses.at(-1)).to.be.below(losses[0]!);
  });

  it('takes layers that are merged already as they are', async () => {
    const model = await trained();
    celoraLayer(model, 'hidden').merge();
    const output = await outputs(model, x())[0]!.data();
    const {numTensors} = tf.memory();
    mergeCELoRA(model);
    // the adapters of both, the derived state of the second, the kernel that unmerge would have restored
    expect(tf.memory().numTensors).to.be.below(numTensors - 4);
    await expectClose(outputs(model, x())[0]!, output, 1e-5);
  });

  it('frees the adapters and what is derived, and leaves the base', async () => {
    const model = mlp();
    const [input, target] = [x(), y()];
    const {numTensors} = tf.memory();
    applyCELoRA(model, SMALL);
    model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    await train(model, input, target, 3);
    mergeCELoRA(model);
    expect(tf.memory().numTensors).to.equal(numTensors);
  });
});

describeOnHost('removeCELoRA', () => {
  it('gives the base back bit for bit, also from merged layers', async () => {
    for (const merge of [false, true]) {
      const model = mlp();
      const [base, before] = [await weightBits(model), outputs(model, x())];
      await trained(model);
      if (merge) for (const name of ['hidden', 'output']) celoraLayer(model, name).merge();
      removeCELoRA(model);
      expect(layerClasses(model)).to.deep.equal(['Dense', 'Dense']);
      expect(await weightBits(model)).to.deep.equal(base);
      await expectSameOutputs(model, before, x());
    }
  });

  it('works on a loaded model', async () => {
    const stock = mlp();
    const before = outputs(stock, x());
    const loaded = await reload(await artifactsOf(await trained(stock)));
    removeCELoRA(loaded);
    await expectSameOutputs(loaded, before, x());
    await expectSameOutputs(await reload(await artifactsOf(loaded)), before, x());
  });
});

describeOnHost('setAdapterEnabled', () => {
  it('switches between the base and the adapted model, bit for bit', async () => {
    const model = mlp();
    const base = outputs(model, x());
    await trained(model);
    const adapted = outputs(model, x());
    setAdapterEnabled(model, false);
    await expectSameOutputs(model, base, x());
    setAdapterEnabled(model, true);
    await expectSameOutputs(model, adapted, x());
  });

  it('cannot switch off what is merged, and then changes nothing', async () => {
    const model = await trained();
    celoraLayer(model, 'output').merge();
    expect(() => setAdapterEnabled(model, false)).to.throw('the adapter of output is merged');
    expect(celoraLayer(model, 'hidden').adapterEnabled).to.equal(true);
    setAdapterEnabled(model, true);
    expect(() => setAdapterEnabled(model, 1 as unknown as boolean)).to.throw(
      'enabled must be a boolean, but is 1',
    );
  });
});

describeOnHost('a model without adapters', () => {
  it('is refused by name', () => {
    const model = mlp();
    const actions = {
      mergeCELoRA: () => mergeCELoRA(model),
      removeCELoRA: () => removeCELoRA(model),
      setAdapterEnabled: () => setAdapterEnabled(model, true),
    };
    for (const [caller, action] of Object.entries(actions)) {
      expect(refusal(action)).to.equal(`${caller}: model mlp has no CELoRADense layer`);
    }
  });
});

describeOnHost('freezeBase', () => {
  const normalized = () =>
    tfl.sequential({
      layers: [
        tfl.layers.dense({units: 5, inputShape: [6], name: 'hidden'}),
        tfl.layers.batchNormalization({name: 'norm', momentum: 0.5}),
        tfl.layers.dense({units: 4, name: 'output'}),
      ],
    });

  it('freezes everything but adapters, the statistics of BatchNormalization too', async () => {
    const model = normalized();
    await trained(model);
    const loaded = await reload(await artifactsOf(model));
    compile(loaded);
    const statistics = await weightBits(loaded, /moving/);
    await train(loaded, x(), y(), 1);
    // no file can say that the statistics are frozen
    expect(await weightBits(loaded, /moving/)).not.to.deep.equal(statistics);
    freezeBase(loaded);
    const frozen = await weightBits(loaded, /^(?!.*lora_)/);
    compile(loaded);
    await train(loaded, x(), y(), 3);
    expect(await weightBits(loaded, /^(?!.*lora_)/)).to.deep.equal(frozen);
  });

  it('is undone by mergeCELoRA and removeCELoRA', async () => {
    for (const end of [mergeCELoRA, removeCELoRA]) {
      const model = normalized();
      const {call} = model.getLayer('norm');
      await trained(model);
      expect(model.getLayer('norm').call).not.to.equal(call);
      end(model);
      expect(model.getLayer('norm').call).to.equal(call);
      expect(trainableNames(model).length).to.equal(6);
    }
  });

  it('normalises in training as in inference', async () => {
    const model = normalized();
    applyCELoRA(model, SMALL);
    const input = x();
    await expectSameOutputs(model, [model.apply(input, {training: true}) as tf.Tensor], input);
  });
});
