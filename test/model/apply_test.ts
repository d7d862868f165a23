import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {type ApplyOptions, applyCELoRA, type CELoRADense, mergeCELoRA} from '../../src/index.ts';
import {layerTree} from '../../src/model/layer_tree.ts';
import {
  artifactsOf,
  asStock,
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
} from './models.ts';

/** A decoder's names, two blocks of them. */
function decoder(): tfl.Sequential {
  const names = [0, 1].flatMap((block) =>
    ['self_attn.q_proj', 'self_attn.o_proj', 'mlp/up_proj'].map((name) => `layers.${block}.${name}`),
  );
  const dense = (name: string, i: number) =>
    tfl.layers.dense({units: 4, name, ...(i === 0 ? {inputShape: [4]} : {})});
  return tfl.sequential({layers: [...names, 'head'].map(dense)});
}

const converted = (options: ApplyOptions): string[] =>
  applyCELoRA(decoder(), {rank: 1, ...options}).layers.map(({name}) => name);

/** All that a failed conversion must leave alone. */
const state = (model: tfl.LayersModel) => ({
  layers: layerTree(model).leaves.map((layer) => [layer.id, layer.trainable, Object.hasOwn(layer, 'call')]),
  weights: model.weights.map((weight) => [weight.id, weight.trainable, Object.hasOwn(weight, 'dispose')]),
  optimizer: model.optimizer,
  tensors: tf.memory().numTensors,
});

describeOnHost('the target of applyCELoRA', () => {
  const q = ['layers.0.self_attn.q_proj', 'layers.1.self_attn.q_proj'];
  const up = ['layers.0.mlp/up_proj', 'layers.1.mlp/up_proj'];

  it('is every Dense by default', () => {
    expect(converted({}).length).to.equal(7);
    expect(converted({target: 'all-dense'}).length).to.equal(7);
  });

  it('is a name, whole or its last part', () => {
    expect(converted({target: 'head'})).to.deep.equal(['head']);
    expect(converted({target: q[1]!})).to.deep.equal([q[1]]);
    expect(converted({target: 'q_proj'})).to.deep.equal(q);
    expect(converted({target: 'up_proj'})).to.deep.equal(up);
    expect(() => converted({target: 'proj'})).to.throw('matches no Dense layer');
  });

  it('is a RegExp, whatever its flags', () => {
    for (const target of [/q_proj/, /q_proj/g, /Q_PROJ/i, /q_proj/gy]) {
      expect(converted({target}), String(target)).to.deep.equal(q);
    }
    const sticky = /^layers\.0.*q_proj/g;
    expect(converted({target: sticky})).to.deep.equal([q[0]]);
    expect(converted({target: sticky})).to.deep.equal([q[0]]);
    expect(sticky.lastIndex).to.equal(0);
  });

  it('is a function of the layer, or a list of all these', () => {
    expect(converted({target: (layer) => layer.name.startsWith('layers.1')}).length).to.equal(3);
    expect(converted({target: ['head', /q_proj/, (layer) => layer.name === up[0]]})).to.deep.equal([
      q[0],
      up[0],
      q[1],
      'head',
    ]);
  });

  it('that matches nothing is an error that lists the Dense layers', () => {
    const model = mlp();
    expect(() => applyCELoRA(model, {target: 'q_proj'})).to.throw(
      "applyCELoRA: target 'q_proj' matches no Dense layer; there are: hidden, output",
    );
    expect(() => applyCELoRA(model, {target: /^x/})).to.throw('there are: hidden, output');
    const none = tfl.sequential({layers: [tfl.layers.flatten({inputShape: [2, 2]})]});
    expect(() => applyCELoRA(none)).to.throw('there are: none');
  });
});

describeOnHost('the options of applyCELoRA', () => {
  it('hold for every layer, overrides for some, the later before the earlier', () => {
    const report = applyCELoRA(decoder(), {
      rank: 3,
      keep: 0.25,
      seed: 9,
      overrides: [
        {target: /proj/, rank: 2, alpha: 7},
        {target: 'q_proj', rank: 1, keep: 1},
        {target: 'head', rank: 0},
      ],
    });
    const config = (name: string) => report.layers.find((layer) => layer.name === name)!.config;
    expect(config('layers.0.mlp/up_proj')).to.include({rank: 2, alpha: 7, keep: 0.25, seed: 9});
    expect(config('layers.1.self_attn.q_proj')).to.include({rank: 1, alpha: 7, keep: 1, seed: 9});
    expect(config('head')).to.include({rank: 0, alpha: 32, keep: 0.25});
  });

  it('are checked: the message names option and value, and the model is as it was', () => {
    const model = mlp();
    model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    const before = state(model);
    const wrong: [object, string][] = [
      [{keep: 1.5}, 'keep must be a number with 0 < keep ≤ 1, but is 1.5'],
      [{ranks: 4}, 'unknown option ranks'],
      [{target: 4}, 'target must be'],
      [{target: []}, 'target must be'],
      [{target: [4]}, 'but is [4]'],
      [{target: null}, 'but is null'],
      [{freezeRest: 1}, 'freezeRest must be a boolean, but is 1'],
      [{overrides: {target: 'hidden'}}, 'overrides must be a list'],
      [{overrides: [{target: 'hidden', rank: -1}]}, 'rank must be an integer ≥ 0, but is -1'],
      [{overrides: [{target: 'hidden', trainBase: true}]}, 'unknown option trainBase'],
      [{overrides: [{rank: 1}]}, 'overrides target must be'],
      [{overrides: [null]}, 'applyCELoRA overrides: options must be an object, but is null'],
      [null as unknown as object, 'applyCELoRA: options must be an object, but is null'],
      [['hidden'], "applyCELoRA: options must be an object, but is ['hidden']"],
      ['hidden' as unknown as object, "applyCELoRA: options must be an object, but is 'hidden'"],
      [
        {overrides: [{target: 'hiden', rank: 1}]},
        "applyCELoRA: overrides target 'hiden' matches none of the layers to convert: hidden, output",
      ],
      [
        {target: 'output', overrides: [{target: /out/, rank: 1}, {target: ['hidden']}]},
        "overrides target ['hidden'] matches none of the layers to convert: output",
      ],
      [{target: 'absent'}, "target 'absent' matches no Dense layer"],
    ];
    for (const [options, message] of wrong) {
      expect(() => applyCELoRA(model, options as ApplyOptions), message).to.throw(message);
      expect(state(model)).to.deep.equal(before);
    }
  });

  it('cut the rank to what a layer can have, and refuse one that is too much for all of them', () => {
    const ranks = (options: ApplyOptions) => {
      const model = mlp();
      const report = applyCELoRA(model, options);
      expect(report.trainableParams).to.equal(
        report.layers.reduce((sum, {adapterParams}) => sum + adapterParams, 0),
      );
      return report.layers.map(({config: {rank}}) => rank);
    };
    // 6 → 8 → 4
    expect(ranks({rank: 3})).to.deep.equal([3, 3]);
    expect(ranks({rank: 6})).to.deep.equal([6, 4]);
    expect(ranks({})).to.deep.equal([6, 4]);
    expect(ranks({rank: 1, overrides: [{target: 'output', rank: 5}]})).to.deep.equal([1, 4]);
    const refused: ApplyOptions[] = [{rank: 7}, {overrides: [{target: 'output', rank: 7}]}];
    for (const options of refused) {
      const model = mlp();
      const before = state(model);
      expect(() => applyCELoRA(model, options)).to.throw(
        /layer (hidden|output): rank must be at most 6, min\(in, units\) of the widest layer, but is 7$/,
      );
      expect(state(model)).to.deep.equal(before);
    }
  });

  it('whose functions throw leave the model as it was, also one that is converted already', () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({units: 4, inputShape: [4], name: 'one'}),
        tfl.layers.batchNormalization(),
        tfl.layers.dense({units: 4, name: 'two'}),
        tfl.layers.dense({units: 4, name: 'three'}),
      ],
    });
    const target = (layer: {name: string}) => {
      if (layer.name === 'three') throw new Error('no such thing');
      return true;
    };
    const attempt = () => applyCELoRA(model, {overrides: [{target}]});
    const untouched = state(model);
    expect(attempt).to.throw('no such thing');
    expect(state(model)).to.deep.equal(untouched);
    applyCELoRA(model, {target: 'one'});
    const half = state(model);
    expect(attempt).to.throw('no such thing');
    expect(state(model)).to.deep.equal(half);
  });
});

describeOnHost('what applyCELoRA says and leaves', () => {
  it('reports the layers, the parameters, and prints them', () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({units: 40, inputShape: [20], name: 'wide'}),
        tfl.layers.dense({units: 3, useBias: false, name: 'narrow'}),
      ],
    });
    const report = applyCELoRA(model, {
      rank: 2,
      keep: 0.25,
      frozenRank: 1,
      overrides: [{target: 'narrow', keep: 1}],
    });
    const [wide, narrow] = report.layers;
    // k is rounded to a multiple of 4 at 40
    expect(wide).to.deep.include({name: 'wide', inputs: 20, units: 40, keptColumns: 12, adapterParams: 120});
    expect(narrow).to.deep.include({name: 'narrow', inputs: 40, units: 3, keptColumns: 3, adapterParams: 86});
    expect(report.trainableParams).to.equal(206);
    expect(report.totalParams).to.equal(206 + 20 * 40 + 40 + 40 * 3);
    const lines = report.toString().split('\n');
    expect(lines).to.deep.equal([
      'layer   in  out  rank  keep  kept  adapter',
      'wide    20   40     2  0.25    12      120',
      'narrow  40    3     2     1     3       86',
      'trainable 206 of 1,166 parameters',
    ]);
  });

  it('says so where nothing is left to train', () => {
    const model = mlp();
    const last = (options: ApplyOptions) => applyCELoRA(model, options).toString().split('\n').slice(-2);
    expect(last({rank: 0, target: 'hidden'})).to.deep.equal([
      'trainable 0 of 92 parameters',
      'nothing can be trained: every rank is 0, and the rest is frozen',
    ]);
    expect(last({rank: 1, target: 'output'})[1]).to.equal('trainable 12 of 104 parameters');
  });

  it('voids an old compile and says so; fit and evaluate refuse until the next one', async () => {
    const model = mlp();
    const [x, y] = [randomTensor([4, 6], 1), randomTensor([4, 4], 2)];
    model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
    const report = applyCELoRA(model, SMALL);
    expect(report.recompile).to.equal(true);
    expect(report.toString()).to.include('compile it again');
    let message = '';
    await train(model, x, y, 1).catch((error: Error) => {
      message = error.message;
    });
    expect(message).to.include('must compile');
    expect(() => model.evaluate(x, y)).to.throw('must compile');
    model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
    expect((await train(model, x, y, 1)).length).to.equal(1);
  });

  it('can be applied again, to other layers', async () => {
    const model = mlp();
    const [x, before] = [randomTensor([4, 6], 1), outputs(model, randomTensor([4, 6], 1))];
    applyCELoRA(model, {...SMALL, target: 'output'});
    expect(layerClasses(model)).to.deep.equal(['Dense', 'CELoRADense']);
    const output = celoraLayer(model, 'output');
    expect(() => applyCELoRA(model, {...SMALL, target: 'output'})).to.throw('there are: hidden');
    const report = applyCELoRA(model, {...SMALL, rank: 1});
    expect(report.layers.map(({name}) => name)).to.deep.equal(['hidden']);
    expect(celoraLayer(model, 'output')).to.equal(output);
    expect(report.trainableParams).to.equal(6 + 8 + 2 * (8 + 4));
    expect(trainableNames(model).length).to.equal(4);
    await expectSameOutputs(model, before, x);
  });

  it('leaves layers without adapter as they are with freezeRest false', () => {
    const model = mlp();
    applyCELoRA(model, {...SMALL, target: 'output', freezeRest: false});
    expect(trainableNames(model)).to.deep.equal([
      'hidden/kernel',
      'hidden/bias',
      'output/lora_a',
      'output/lora_b',
    ]);
  });

  it('keeps the losses of regularizers, also when saved, and when merged after loading', async () => {
    const l2 = tfl.regularizers.l2({l2: 0.5});
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({
          units: 1,
          inputShape: [2],
          kernelInitializer: 'ones',
          kernelRegularizer: l2,
          name: 'one',
        }),
      ],
    });
    const loss = async (of: tfl.LayersModel) => {
      of.compile({optimizer: tf.train.sgd(0), loss: 'meanSquaredError'});
      return (await train(of, tf.tensor2d([[1, 2]]), tf.tensor2d([[3]]), 1))[0];
    };
    applyCELoRA(model, {rank: 1});
    expect(await loss(model)).to.be.closeTo(1, 1e-6);
    const loaded = await reload(await artifactsOf(model));
    expect(await loss(loaded)).to.be.closeTo(1, 1e-6);
    mergeCELoRA(loaded);
    expect(await asStock(() => loss(loaded))).to.be.closeTo(1, 1e-6);
  });

  it('gives adapters of equal shape different starts, and equal ones for a seed', async () => {
    const start = async (seed: number) => {
      const model = decoder();
      applyCELoRA(model, {rank: 2, seed});
      const layers = model.layers as CELoRADense[];
      return Promise.all(layers.map(async (layer) => String(await layer.getWeights()[0]!.data())));
    };
    const first = await start(0);
    expect(new Set(first).size).to.equal(7);
    expect(await start(0)).to.deep.equal(first);
    expect(await start(1)).not.to.deep.equal(first);
  });
});
