import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {
  type AdapterOptions,
  activeAdapter,
  adapterNames,
  addAdapter,
  applyCELoRA,
  celoraDense,
  deleteAdapter,
  mergeCELoRA,
  removeCELoRA,
  setActiveAdapter,
  setAdapterEnabled,
} from '../../src/index.ts';
import {describeBackends, expectNoLeaks} from '../backends.ts';
import {
  artifactsOf,
  bits,
  celoraLayer,
  describeOnHost,
  expectSameOutputs,
  mlp,
  outputs,
  randomTensor,
  reload,
  SMALL,
  small,
  train,
  trainableNames,
  weightBits,
} from './models.ts';

const x = () => randomTensor([10, 6], 1);
const y = (seed = 2) => randomTensor([10, 4], seed);

async function trainSteps(model: tfl.LayersModel, target: tf.Tensor, steps = 2): Promise<number[]> {
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
  return train(model, x(), target, steps);
}

/** The bits of an adapter's weights in the layers that have it, active or not. */
async function adapterBits(model: tfl.LayersModel, name: string): Promise<number[][]> {
  const found: number[][] = [];
  for (const {name: layer} of model.layers) {
    const adapter = celoraLayer(model, layer).adapters.get(name);
    if (adapter) found.push(await bits(adapter.loraA.read()), await bits(adapter.loraB.read()));
  }
  return found;
}

/** A model with a trained adapter 'default' in both layers, and a trained 'other' of another rank in one. */
async function two(options = SMALL): Promise<tfl.LayersModel> {
  const model = mlp();
  applyCELoRA(model, options);
  await trainSteps(model, y());
  addAdapter(model, 'other', {target: 'output', rank: 3, alpha: 5, rslora: true, loraDropout: 0.25});
  await trainSteps(model, y(3));
  return model;
}

describeBackends('several adapters on one model', (backend) => {
  it('switch the output and come back bit for bit, and train without touching each other', async () => {
    const model = mlp();
    const base = outputs(model, x());
    applyCELoRA(model, small(backend));
    await trainSteps(model, y());
    const [first, weights] = [outputs(model, x()), await adapterBits(model, 'default')];

    addAdapter(model, 'other', {rank: 3});
    await expectSameOutputs(model, base, x());
    const losses = await trainSteps(model, y(3), 3);
    expect(losses.at(-1)).to.be.below(losses[0]!);
    expect(await adapterBits(model, 'default')).to.deep.equal(weights);
    const [second, others] = [outputs(model, x()), await adapterBits(model, 'other')];

    setActiveAdapter(model, 'default');
    await expectSameOutputs(model, first, x());
    await trainSteps(model, y(), 1);
    expect(await adapterBits(model, 'other')).to.deep.equal(others);
    expect(await adapterBits(model, 'default')).not.to.deep.equal(weights);
    setActiveAdapter(model, 'other');
    await expectSameOutputs(model, second, x());

    setAdapterEnabled(model, false);
    await expectSameOutputs(model, base, x());
  });
});

describeOnHost('the adapters of a model', () => {
  it('have names, of which one is active', async () => {
    const model = mlp();
    expect(adapterNames(model)).to.deep.equal([]);
    expect(activeAdapter(model)).to.equal(undefined);
    applyCELoRA(model, SMALL);
    expect([adapterNames(model), activeAdapter(model)]).to.deep.equal([['default'], 'default']);
    addAdapter(model, '__proto__');
    expect([adapterNames(model), activeAdapter(model)]).to.deep.equal([
      ['default', '__proto__'],
      '__proto__',
    ]);
    setActiveAdapter(model, 'default');
    expect(activeAdapter(model)).to.equal('default');
    deleteAdapter(model, '__proto__');
    expect(adapterNames(model)).to.deep.equal(['default']);
  });

  it('have ranks and scales of their own, in layers of their own', async () => {
    const model = await two();
    const options = (layer: string) => {
      const {rank, alpha, rslora, loraDropout, keep} = celoraLayer(model, layer).config;
      return {rank, alpha, rslora, loraDropout, keep};
    };
    expect(options('output')).to.deep.equal({rank: 3, alpha: 5, rslora: true, loraDropout: 0.25, keep: 0.5});
    expect(options('hidden')).to.deep.include({rank: 0, keep: 0.5});
    expect(trainableNames(model)).to.deep.equal(['output/lora_a', 'output/lora_b']);
    const dense = celoraLayer(model, 'output');
    const {loraA, loraB} = dense.adapters.active!;
    const expected = tf.mul(
      tf.matMul(loraA.read() as tf.Tensor2D, loraB.read() as tf.Tensor2D),
      5 / Math.sqrt(3),
    );
    expect(await bits(dense.deltaWeight())).to.deep.equal(await bits(expected));
    setActiveAdapter(model, 'default');
    for (const layer of ['hidden', 'output']) {
      expect(options(layer)).to.deep.equal({rank: 2, alpha: 4, rslora: false, loraDropout: 0, keep: 0.5});
    }
    expect(trainableNames(model)).to.have.length(4);
  });

  it('leave the base as it was, whichever was active', async () => {
    const model = mlp();
    const base = await weightBits(model);
    applyCELoRA(model, SMALL);
    for (const name of ['a', 'b']) {
      addAdapter(model, name, {rank: 1});
      await trainSteps(model, y());
    }
    removeCELoRA(model);
    expect(await weightBits(model)).to.deep.equal(base);
  });

  it('start alike from one seed, and differently from another', async () => {
    const model = mlp();
    applyCELoRA(model, SMALL);
    addAdapter(model, 'same', {rank: 2});
    addAdapter(model, 'other', {rank: 2, seed: 1});
    expect(await adapterBits(model, 'same')).to.deep.equal(await adapterBits(model, 'default'));
    expect((await adapterBits(model, 'other'))[0]).not.to.deep.equal((await adapterBits(model, 'same'))[0]);
  });

  it('void a compile whenever the active one changes, and only then', async () => {
    const model = await two();
    const compile = () => model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    const refuses = () => expect(() => model.evaluate(x(), y())).to.throw('must compile');
    compile();
    setActiveAdapter(model, 'other');
    model.evaluate(x(), y());
    setActiveAdapter(model, 'default');
    refuses();
    compile();
    deleteAdapter(model, 'other');
    model.evaluate(x(), y());
    expect(addAdapter(model, 'new').recompile).to.equal(true);
    refuses();
    compile();
    deleteAdapter(model, 'new');
    refuses();
  });

  it('may be deleted while active: then the base computes, until there is another', async () => {
    const model = await two();
    const base = mlp();
    deleteAdapter(model, 'other');
    expect(activeAdapter(model)).to.equal(undefined);
    await expectSameOutputs(model, outputs(base, x()), x());
    deleteAdapter(model, 'default');
    expect(adapterNames(model)).to.deep.equal([]);
    expect(addAdapter(model, 'new', {rank: 1, alpha: 1}).layers.map(({name}) => name)).to.deep.equal([
      'hidden',
      'output',
    ]);
    const losses = await trainSteps(model, y(), 3);
    expect(losses.at(-1)).to.be.below(losses[0]!);
  });

  it('are widened by another conversion under the active name', async () => {
    const model = mlp();
    applyCELoRA(model, {...SMALL, target: 'hidden'});
    addAdapter(model, 'other', {rank: 1});
    applyCELoRA(model, {...SMALL, target: 'output'});
    expect(celoraLayer(model, 'output').adapters.names).to.deep.equal(['other']);
    expect(trainableNames(model)).to.have.length(4);
  });

  it('keep the flag of a layer that is not to train', () => {
    const model = mlp();
    applyCELoRA(model, SMALL);
    model.layers[0]!.trainable = false;
    addAdapter(model, 'other');
    expect(trainableNames(model)).to.deep.equal(['output/lora_a', 'output/lora_b']);
    model.layers[0]!.trainable = true;
    expect(trainableNames(model)).to.have.length(4);
  });

  it('train beside a base that is trained too', () => {
    const layer = celoraDense({...SMALL, units: 4, inputShape: [6], name: 'output', trainBase: true});
    const model = tfl.sequential({layers: [layer]});
    const names = () => trainableNames(model).map((name) => name.split('/').at(-1));
    addAdapter(model, 'other');
    expect(names()).to.deep.equal(['lora_a', 'lora_b', 'kernel', 'bias']);
    deleteAdapter(model, 'other');
    expect(names()).to.deep.equal(['kernel', 'bias']);
    setActiveAdapter(model, 'default');
    expect(names()).to.deep.equal(['lora_a', 'lora_b', 'kernel', 'bias']);
  });

  it('are saved one at a time: the active one', async () => {
    const model = await two();
    const loaded = await reload(await artifactsOf(model));
    expect(adapterNames(loaded)).to.deep.equal(['default']);
    expect(celoraLayer(loaded, 'output').config).to.deep.equal(celoraLayer(model, 'output').config);
    await expectSameOutputs(loaded, outputs(model, x()), x());
  });

  it('merge one at a time: the active one', async () => {
    const model = await two();
    const other = outputs(model, x());
    const layer = celoraLayer(model, 'output');
    layer.merge();
    for (const change of [
      () => setActiveAdapter(model, 'default'),
      () => addAdapter(model, 'new'),
      () => deleteAdapter(model, 'other'),
    ]) {
      expect(change).to.throw('the adapter of output is merged; call its unmerge() first');
    }
    deleteAdapter(model, 'default');
    layer.unmerge();
    await expectSameOutputs(model, other, x());
    mergeCELoRA(model);
    expect(model.layers.map((one) => one.getClassName())).to.deep.equal(['Dense', 'Dense']);
  });

  it('are freed with the model, with the conversion, and one by one', async () => {
    const adapted = () => {
      const model = mlp();
      applyCELoRA(model, SMALL);
      addAdapter(model, 'other');
      return model;
    };
    await expectNoLeaks(() => adapted().dispose());
    for (const end of [removeCELoRA, mergeCELoRA]) {
      await expectNoLeaks(() => {
        const model = adapted();
        end(model);
        model.dispose();
      });
    }
    const model = adapted();
    await expectNoLeaks(() => {
      addAdapter(model, 'third');
      setActiveAdapter(model, 'default');
      deleteAdapter(model, 'third');
    });
  });

  describe('refuse by name', () => {
    const refused: [string, AdapterOptions | string, string][] = [
      ['a name that is taken', 'default', "there is an adapter 'default' already; delete it first"],
      ['an empty name', '', "the name of an adapter must be a text, but is ''"],
      [
        'an option of the layers',
        {keep: 0.5} as AdapterOptions,
        'keep is no option of an adapter; options are target, rank, alpha, rslora, loraDropout, seed',
      ],
      ['a wrong value', {alpha: -1}, 'alpha must be a finite number > 0, but is -1'],
      ['options that are none', 3 as AdapterOptions, 'options must be an object, but is 3'],
      ['rank 0', {rank: 0}, 'rank must be at least 1 and at most 6'],
      ['a rank beyond all layers', {rank: 7}, 'of the widest layer, but is 7'],
      [
        'a target that matches nothing',
        {target: 'proj'},
        "target 'proj' matches no converted layer; there are: hidden, output",
      ],
      ['a target that is none', {target: 3 as unknown as string}, 'addAdapter: target must be'],
    ];
    for (const [what, given, message] of refused) {
      it(what, () => {
        const model = mlp();
        applyCELoRA(model, SMALL);
        const [name, options] = typeof given === 'string' ? [given, {}] : ['new', given];
        expect(() => addAdapter(model, name, options)).to.throw(`addAdapter: `);
        expect(() => addAdapter(model, name, options)).to.throw(message);
        expect([adapterNames(model), activeAdapter(model)]).to.deep.equal([['default'], 'default']);
      });
    }

    it('a name that is unknown', () => {
      const model = mlp();
      expect(() => setActiveAdapter(model, 'default')).to.throw('model mlp has no CELoRADense layer');
      applyCELoRA(model, SMALL);
      for (const [caller, change] of Object.entries({setActiveAdapter, deleteAdapter})) {
        const message = `${caller}: there is no adapter 'toString'; there are: default`;
        expect(() => change(model, 'toString')).to.throw(message);
      }
    });
  });
});
