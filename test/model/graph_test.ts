import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, mergeCELoRA, removeCELoRA} from '../../src/index.ts';
import {expectClose} from '../backends.ts';
import {withHook} from './hooked.ts';
import {
  artifactsOf,
  asStock,
  describeOnHost,
  expectSameOutputs,
  layerClasses,
  mlp,
  outputs,
  randomTensor,
  reload,
  SMALL,
  settle,
  train,
  trainableNames,
  weightBits,
} from './models.ts';

const x = () => randomTensor([10, 6], 1);
const y = () => randomTensor([10, 4], 2);
const compile = (model: tfl.LayersModel) =>
  model.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});

/** A layer of the user's own that runs a Dense of its own, and scales its result by a weight of its own. */
class Scaled extends tfl.layers.Layer {
  static className = 'Scaled';
  readonly layers = [tfl.layers.dense({units: 6, name: 'inside'})];
  private scale: tfl.LayerVariable | undefined;
  override build(): void {
    this.scale = this.addWeight('scale', [1], 'float32', tfl.initializers.ones());
    super.build([]);
  }
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const y = this.layers[0]!.apply(inputs) as tf.Tensor;
    return tf.mul(y, this.scale!.read());
  }
}

describeOnHost('the graph of a converted model', () => {
  it('gives its layers and their outputs to other models, as before', async () => {
    const model = mlp();
    const make = () =>
      tfl.model({inputs: model.inputs, outputs: model.getLayer('hidden').output as tfl.SymbolicTensor});
    const features = outputs(make(), x());
    applyCELoRA(model, SMALL);
    const converted = make();
    await expectSameOutputs(converted, features, x());
    expect(layerClasses(converted)).to.deep.equal(['InputLayer', 'CELoRADense']);
    const head = tfl.layers.dense({units: 2}).apply(model.outputs[0]!) as tfl.SymbolicTensor;
    expect(outputs(tfl.model({inputs: model.inputs, outputs: head}), x())[0]!.shape).to.deep.equal([10, 2]);
    removeCELoRA(model);
    await expectSameOutputs(make(), features, x());
  });

  it('lets models that share layers with it go on computing', async () => {
    const model = mlp();
    const features = tfl.model({
      inputs: model.inputs,
      outputs: model.getLayer('hidden').output as tfl.SymbolicTensor,
    });
    const before = outputs(features, x());
    applyCELoRA(model, SMALL);
    await expectSameOutputs(features, before, x());
    compile(model);
    await train(model, x(), y(), 3);
    mergeCELoRA(model);
    expect(layerClasses(features)).to.deep.equal(['InputLayer', 'Dense']);
    expect(outputs(features, x())[0]!.shape).to.deep.equal([10, 8]);
  });

  describe('of two that share a Dense', () => {
    /** Two models around one layer, each with an input and a top of its own. */
    const pair = () => {
      const common = tfl.layers.dense({units: 6, activation: 'tanh', name: 'common'});
      const make = (name: string) => {
        const input = tfl.input({shape: [6]});
        const top = tfl.layers.dense({units: 4, name: `top_${name}`});
        const output = top.apply(common.apply(input)) as tfl.SymbolicTensor;
        return settle(tfl.model({inputs: input, outputs: output, name}));
      };
      return [make('one'), make('two')] as const;
    };
    /** Of a saved model; a node too few, and loading never ends. */
    const nodesOf = (artifacts: tf.io.ModelArtifacts): [string, number][] => {
      const {config} = artifacts.modelTopology as {
        config: {layers: {name: string; inbound_nodes: unknown[]}[]};
      };
      return config.layers.slice(1).map((layer) => [layer.name, layer.inbound_nodes.length]);
    };

    it('saves the other with the base, while it computes with the adapter, and then merged', async () => {
      const [one, two] = pair();
      const base = outputs(two, x());
      applyCELoRA(one, SMALL);
      await expectSameOutputs(two, base, x());
      compile(one);
      await train(one, x(), y(), 3);
      const adapted = await outputs(two, x())[0]!.data();
      const artifacts = await artifactsOf(two);
      expect(nodesOf(artifacts)).to.deep.equal([
        ['common', 1],
        ['top_two', 1],
      ]);
      const loaded = await reload(artifacts);
      expect(layerClasses(loaded)).to.deep.equal(['InputLayer', 'Dense', 'Dense']);
      await expectSameOutputs(loaded, base, x());
      mergeCELoRA(one);
      await expectClose(outputs(two, x())[0]!, adapted, 1e-5);
      await expectSameOutputs(await reload(await artifactsOf(two)), outputs(two, x()), x());
    });

    it('converts each Dense once: the second model is refused by name, and can have the rest', async () => {
      const [one, two] = pair();
      const [first, second] = [outputs(one, x()), outputs(two, x())];
      applyCELoRA(one, SMALL);
      const weights = two.weights.map(({trainable}) => trainable);
      const {numTensors} = tf.memory();
      expect(() => applyCELoRA(two, SMALL)).to.throw(
        'applyCELoRA: layer common has an adapter already, in another model that shares it',
      );
      expect(two.weights.map(({trainable}) => trainable)).to.deep.equal(weights);
      expect(tf.memory().numTensors).to.equal(numTensors);
      applyCELoRA(two, {...SMALL, target: /top/});
      removeCELoRA(two);
      removeCELoRA(one);
      await expectSameOutputs(one, first, x());
      await expectSameOutputs(two, second, x());
      applyCELoRA(two, SMALL);
      await expectSameOutputs(one, first, x());
    });

    it('converts it once in TimeDistributed too', () => {
      const common = tfl.layers.dense({units: 4, name: 'common'});
      const [one, two] = ['one', 'two'].map((name) =>
        tfl.sequential({layers: [tfl.layers.timeDistributed({layer: common, inputShape: [3, 6], name})]}),
      ) as [tfl.Sequential, tfl.Sequential];
      applyCELoRA(one, SMALL);
      expect(() => applyCELoRA(two, SMALL)).to.throw('layer common has an adapter already');
    });
  });

  it('takes a layer with layers of its own for one layer, and freezes it', async () => {
    const model = settle(
      tfl.sequential({
        layers: [
          tfl.layers.dense({units: 6, inputShape: [6], name: 'below'}),
          new Scaled({name: 'scaled'}),
          tfl.layers.dense({units: 4, name: 'above'}),
        ],
      }),
    );
    model.predict(x());
    const report = applyCELoRA(model, SMALL);
    expect(report.layers.map(({name}) => name)).to.deep.equal(['below', 'above']);
    expect(trainableNames(model).every((name) => name.includes('lora_'))).to.equal(true);
    compile(model);
    const base = await weightBits(model, /scale|kernel|bias/);
    const losses = await asStock(() => train(model, x(), y(), 4));
    expect(losses.at(-1)).to.be.below(losses[0]!);
    expect(await weightBits(model, /scale|kernel|bias/)).to.deep.equal(base);
  });
});

describeOnHost('the gradient hook on other graphs', () => {
  it('counts each use of a shared Dense, and keeps one state for it', async () => {
    const shared = tfl.layers.dense({units: 6, activation: 'tanh', name: 'twice'});
    const input = tfl.input({shape: [6]});
    const hidden = shared.apply(shared.apply(input)) as tfl.SymbolicTensor;
    const output = tfl.layers.dense({units: 4, name: 'top'}).apply(hidden) as tfl.SymbolicTensor;
    const model = settle(tfl.model({inputs: input, outputs: output}));
    compile(model);
    await withHook({keep: 0.5, frozenRank: 0}, async (hook) => {
      const losses = await train(model, x(), y(), 4);
      expect(losses.at(-1)).to.be.below(losses[0]!);
      // of the shared layer's two uses only the second has an input that leads to a weight
      expect(hook.stats()).to.include({products: 2, backwardPasses: 8});
    });
  });

  it('reaches a Dense in TimeDistributed, once a time step', async () => {
    const model = settle(
      tfl.sequential({
        layers: [
          tfl.layers.timeDistributed({layer: tfl.layers.dense({units: 5}), inputShape: [3, 6]}),
          tfl.layers.timeDistributed({layer: tfl.layers.dense({units: 4})}),
        ],
      }),
    );
    compile(model);
    await withHook({keep: 0.5, frozenRank: 0}, async (hook) => {
      await train(model, randomTensor([4, 3, 6], 1), randomTensor([4, 3, 4], 2), 2);
      expect(hook.stats()).to.include({products: 2, backwardPasses: 2 * 3});
    });
  });
});
