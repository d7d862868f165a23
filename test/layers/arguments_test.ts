import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {CELoRADense, type CELoRADenseArgs, celoraDense, DEFAULT_CONFIG} from '../../src/index.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {asStock, bits, expectSameBits, randomTensor, train} from '../model/models.ts';

/** The config's JSON form, as a file holds it; a seed of null is no seed. */
const json = (layer: tfl.layers.Layer): Record<string, unknown> =>
  JSON.parse(
    JSON.stringify(layer.getConfig(), (key, value) => (key === 'seed' ? (value ?? undefined) : value)),
  ) as Record<string, unknown>;

const built = (args: CELoRADenseArgs, inputs = 5): CELoRADense => {
  const layer = celoraDense(args);
  layer.apply(tf.zeros([2, inputs]));
  return layer;
};

describeBackends('the arguments of CELoRADense', (backend) => {
  it('names its weights as Dense does, the adapter beside them, trainable ones first', () => {
    const layer = built({units: 4, rank: 3, name: 'q_proj'});
    const described = (weights: tfl.LayerVariable[]) => weights.map((w) => [w.originalName, ...w.shape]);
    expect(described(layer.weights)).to.deep.equal([
      ['q_proj/lora_a', 5, 3],
      ['q_proj/lora_b', 3, 4],
      ['q_proj/kernel', 5, 4],
      ['q_proj/bias', 4],
    ]);
    expect(described(layer.trainableWeights)).to.deep.equal(described(layer.weights).slice(0, 2));
    expect(layer.getWeights().map(({shape}) => shape)).to.deep.equal([[5, 3], [3, 4], [5, 4], [4]]);
    expect(layer.countParams()).to.equal(5 * 3 + 3 * 4 + 5 * 4 + 4);
  });

  it('draws A uniformly from ±1/√in, from the seed and the name; B is zero', async () => {
    const layer = built({units: 50, rank: 16, name: 'one'}, 16);
    const [a, b] = layer.getWeights();
    const values = await a!.data();
    expect(Math.max(...values.map(Math.abs))).to.be.within(0.24, 0.25);
    expect((await tf.mean(a!).data())[0]).to.be.closeTo(0, 0.03);
    expect((await b!.data()).every((value) => value === 0)).to.equal(true);
    const again = built({units: 50, rank: 16, name: 'one'}, 16);
    await expectSameBits(again.getWeights()[0]!, a!);
    for (const other of [
      {name: 'two', seed: 0},
      {name: 'one', seed: 1},
    ]) {
      const different = built({units: 50, rank: 16, ...other}, 16);
      expect(await bits(different.getWeights()[0]!)).not.to.deep.equal(await bits(a!));
    }
  });

  it('gives layers that are equal but for their automatic names different adapters', async () => {
    const [one, two] = [built({units: 3}), built({units: 3})];
    expect(one.name).not.to.equal(two.name);
    expect(await bits(one.getWeights()[0]!)).not.to.deep.equal(await bits(two.getWeights()[0]!));
  });

  it('refuses a rank above min(in, units) before making anything; the default is cut to it', () => {
    const {numTensors} = tf.memory();
    const x = tf.zeros([2, 5]);
    for (const [units, rank, most] of [
      [4, 5, 4],
      [8, 100000, 5],
    ] as const) {
      const layer = celoraDense({units, rank, name: 'narrow'});
      expect(() => layer.apply(x)).to.throw(
        `CELoRADense narrow: rank must be at most min(in, units) = ${most}, but is ${rank}`,
      );
    }
    expect(tf.memory().numTensors).to.equal(numTensors + 1);
    for (const [units, rank] of [
      [4, 4],
      [8, 5],
    ] as const) {
      expect(built({units, rank}).config.rank).to.equal(rank);
      const byDefault = built({units});
      expect(byDefault.config.rank).to.equal(rank);
      expect(byDefault.getConfig().rank).to.equal(rank);
      expect(byDefault.getWeights()[0]!.shape).to.deep.equal([5, rank]);
    }
    expect(built({units: 20}, 30).config.rank).to.equal(16);
  });

  it('takes initializers by name, as objects and in serialised form', async () => {
    const initializers = [
      'ones' as const,
      tfl.initializers.ones(),
      {className: 'Ones', config: {}} as unknown as 'ones',
    ];
    for (const one of initializers) {
      const layer = built({units: 4, rank: 0, kernelInitializer: one, biasInitializer: one});
      for (const weight of layer.getWeights()) await expectClose(weight, Array(weight.size).fill(1));
    }
    const constant = tfl.initializers.constant({value: 0.25});
    await expectClose(
      built({units: 2, rank: 0, useBias: false, kernelInitializer: constant}, 3).getWeights()[0]!,
      Array(6).fill(0.25),
    );
  });

  it('has the defaults of Dense: glorotNormal kernel, zero bias', async () => {
    const layer = built({units: 40, rank: 0}, 40);
    const [kernel, bias] = layer.getWeights();
    const {variance} = tf.moments(kernel!);
    // truncated at two deviations of √(2 / 80)
    expect((await variance.data())[0]).to.be.within(0.017, 0.026);
    expect((await bias!.data()).every((value) => value === 0)).to.equal(true);
    const stock = json(tfl.layers.dense({units: 40}));
    for (const key of ['kernelInitializer', 'biasInitializer']) {
      expect(json(layer)[key]).to.deep.equal(stock[key]);
    }
  });

  it('adds the regularizers to the loss, also of the frozen base', async () => {
    const args = {
      units: 1,
      inputShape: [2],
      kernelInitializer: 'ones' as const,
      biasInitializer: 'ones' as const,
      kernelRegularizer: tfl.regularizers.l2({l2: 0.5}),
      biasRegularizer: tfl.regularizers.l1({l1: 0.25}),
    };
    for (const layer of [tfl.layers.dense(args), celoraDense({...args, rank: 1, trainBase: true})]) {
      const model = tfl.sequential({layers: [layer]});
      model.compile({optimizer: tf.train.sgd(0), loss: 'meanSquaredError'});
      // prediction 1 + 2 + 1 of target 4; 0.5 · (1 + 1) and 0.25 · 1
      const [loss] = await asStock(() => train(model, tf.tensor2d([[1, 2]]), tf.tensor2d([[4]]), 1));
      expect(loss).to.be.closeTo(1.25, 1e-6);
    }
  });

  it('clips weights that are set by its constraints, as Dense does', async () => {
    const args = {
      units: 2,
      inputShape: [2],
      kernelConstraint: tfl.constraints.maxNorm({maxValue: 0.5}),
      biasConstraint: tfl.constraints.nonNeg(),
    };
    const weights = [tf.ones([2, 2]), tf.tensor1d([-1, 2])];
    const [dense, ours] = [tfl.layers.dense(args), celoraDense({...args, rank: 1})];
    for (const layer of [dense, ours]) {
      layer.apply(tf.zeros([1, 2]));
      layer.setWeights(weights);
    }
    const [kernel, bias] = dense.getWeights();
    await expectClose(tf.norm(kernel!, 'euclidean', 0), [0.5, 0.5]);
    await expectClose(bias!, [0, 2]);
    await expectSameBits(ours.getWeights()[2]!, kernel!);
    await expectSameBits(ours.getWeights()[3]!, bias!);
  });

  it('takes inputShape, inputDim, batchInputShape, batchSize, dtype and name', () => {
    const shapes: [Partial<CELoRADenseArgs>, (number | null)[]][] = [
      [{inputShape: [3]}, [null, 3]],
      [{inputShape: [4, 3]}, [null, 4, 3]],
      [{inputDim: 3}, [null, 3]],
      [{inputDim: 3, batchSize: 2}, [2, 3]],
      [{batchInputShape: [2, null, 3]}, [2, null, 3]],
      [{inputShape: [4, 3], inputDim: 9}, [null, 4, 3]],
    ];
    for (const [given, shape] of shapes) {
      const layer = celoraDense({units: 2, ...given});
      expect(layer.batchInputShape).to.deep.equal(shape);
      expect(tfl.layers.dense({units: 2, ...given}).batchInputShape).to.deep.equal(shape);
      const model = tfl.sequential({layers: [layer]});
      expect(model.outputs[0]!.shape).to.deep.equal([...shape.slice(0, -1), 2]);
    }
    const layer = celoraDense({units: 2, inputShape: [3], dtype: 'int32', name: 'ints'});
    expect(layer.name).to.equal('ints');
    expect(tfl.sequential({layers: [layer]}).inputs[0]!.dtype).to.equal('int32');
    expect(layer.weights.map(({dtype}) => dtype)).to.deep.equal(Array(4).fill('float32'));
  });

  it('takes weights, all of its own or those of a Dense', async () => {
    const [kernel, bias] = [randomTensor([5, 4], 1), randomTensor([4], 2)];
    const [a, b] = [randomTensor([5, 3], 3), randomTensor([3, 4], 4)];
    const x = randomTensor([2, 5], 5);
    const dense = tfl.layers.dense({units: 4, weights: [kernel, bias]});
    const ofDense = celoraDense({units: 4, rank: 3, weights: [kernel, bias]});
    await expectSameBits(ofDense.apply(x) as tf.Tensor, dense.apply(x) as tf.Tensor);
    const own = celoraDense({units: 4, rank: 3, weights: [a, b, kernel, bias]});
    own.apply(x);
    const weights = own.getWeights();
    for (const [i, given] of [a, b, kernel, bias].entries()) await expectSameBits(weights[i]!, given);
  });

  it('refuses what Dense refuses, naming argument and value', () => {
    const wrong: [object, string][] = [
      [{units: 0}, 'units must be an integer ≥ 1, but is 0'],
      [{units: 2.5}, 'units must be an integer ≥ 1, but is 2.5'],
      [{units: '4'}, "units must be an integer ≥ 1, but is '4'"],
      [{}, 'units must be an integer ≥ 1, but is undefined'],
      [{units: 4, name: 'q', kernelInitializer: 'zero'}, "CELoRADense q: unknown kernelInitializer 'zero'"],
      [{units: 4, name: 'q', biasRegularizer: 'l3'}, "CELoRADense q: unknown biasRegularizer 'l3'"],
      [{units: 4, name: 'q', biasConstraint: 'max'}, "CELoRADense q: unknown biasConstraint 'max'"],
      [{units: 4, name: 'q', activation: 'rel'}, "CELoRADense q: unknown activation 'rel'"],
      [{units: 4, name: 'q', activation: 3}, 'CELoRADense q: unknown activation 3'],
      [{units: 4, keep: 0}, 'keep must be a number with 0 < keep ≤ 1, but is 0'],
      [{units: 4, rank: -1}, 'rank must be an integer ≥ 0, but is -1'],
      [{units: 4, activityRegularizer: 'l1l2'}, 'activityRegularizer'],
    ];
    for (const [args, message] of wrong) {
      expect(() => celoraDense(args as CELoRADenseArgs), JSON.stringify(args)).to.throw(message);
    }
    expect(() => celoraDense(null as unknown as CELoRADenseArgs)).to.throw(
      'CELoRADense: options must be an object, but is null',
    );
    expect(() => celoraDense({units: 0, name: 'the_layer'})).to.throw('CELoRADense the_layer');
  });

  it('refuses names that it does not know and what is no boolean, also in a config', () => {
    const wrong: [object, string][] = [
      [{kep: 0.1}, 'CELoRADense strict: unknown option kep (0.1); those of CE-LoRA are rank, alpha'],
      [{Rank: 3}, 'unknown option Rank (3)'],
      [{useBais: true}, 'unknown option useBais (true)'],
      [{target: 'all-dense'}, "unknown option target ('all-dense')"],
      [{trainBase: 'yes'}, "trainBase must be a boolean, but is 'yes'"],
      [{merged: 1}, 'merged must be a boolean, but is 1'],
      [{useBias: 'no'}, "useBias must be a boolean, but is 'no'"],
      [{trainable: 0}, 'trainable must be a boolean, but is 0'],
    ];
    const config = celoraDense({units: 4, name: 'strict'}).getConfig();
    const [cls, fromConfig] = tf.serialization.SerializationMap.getMap().classNameMap.CELoRADense!;
    for (const [args, message] of wrong) {
      expect(() => celoraDense({units: 4, name: 'strict', ...args}), message).to.throw(message);
      expect(() => fromConfig(cls, {...config, ...args}), message).to.throw(message);
    }
    const absent = {useBias: null, trainable: null, trainBase: undefined, merged: undefined, kep: undefined};
    const layer = celoraDense({units: 4, ...absent} as unknown as CELoRADenseArgs);
    expect(layer.getConfig()).to.include({useBias: true, trainBase: false, merged: false, trainable: true});
  });

  it('refuses inputs of rank 1, of unknown or wrong size, and of dtype complex64 or string', () => {
    const layer = built({units: 4, name: 'five'});
    expect(() => layer.apply(tf.zeros([5]))).to.throw('five');
    expect(() => layer.apply(tf.zeros([2, 6]))).to.throw('five');
    // wasm cannot even make one
    if (tf.getKernel('Complex', backend) != null) {
      expect(() => layer.call(tf.complex(tf.zeros([2, 5]), tf.zeros([2, 5])), {})).to.throw('complex64');
    }
    const dropping = built({units: 4, loraDropout: 0.5});
    for (const [one, training] of [
      [layer, false],
      [layer, true],
      [dropping, true],
    ] as const) {
      expect(() => one.call(tf.tensor2d(Array(10).fill('a'), [2, 5], 'string'), {training})).to.throw(
        'x must be a float32, int32 or bool tensor, but its dtype is string',
      );
    }
    expect(() => celoraDense({units: 4}).apply(tfl.input({shape: [null]}))).to.throw('last dimension');
  });

  it('round-trips its config through JSON, and is registered on import', () => {
    const args: CELoRADenseArgs = {
      units: 4,
      name: 'all_of_them',
      activation: 'hardSigmoid',
      useBias: false,
      kernelInitializer: tfl.initializers.randomUniform({minval: -1, maxval: 2, seed: 3}),
      kernelRegularizer: tfl.regularizers.l1l2({l1: 0.1, l2: 0.2}),
      biasRegularizer: tfl.regularizers.l2({l2: 0.3}),
      kernelConstraint: tfl.constraints.minMaxNorm({minValue: 0.1, maxValue: 2}),
      biasConstraint: tfl.constraints.nonNeg(),
      inputShape: [3, 5],
      trainable: false,
      trainBase: true,
      rank: 3,
      alpha: 5,
      rslora: true,
      loraDropout: 0.25,
      keep: 0.125,
      frozenRank: 2,
      refreshEvery: 9,
      exactSteps: 4,
      exactEvery: 6,
      score: 'gradient',
      axis: 'rows',
      minSize: 77,
      base: 'float32', // the others go with no trainBase; half_test.ts has them
      seed: 12,
    };
    const layer = celoraDense(args);
    const config = json(layer);
    const copy = tfl.sequential({layers: [celoraDense(args)]});
    copy.layers[0]!.dispose();
    const [cls, fromConfig] = tf.serialization.SerializationMap.getMap().classNameMap.CELoRADense!;
    expect(cls).to.equal(CELoRADense);
    const again = fromConfig(cls, JSON.parse(JSON.stringify(config)) as tf.serialization.ConfigDict);
    expect(again).to.be.instanceOf(CELoRADense);
    expect(json(again as CELoRADense)).to.deep.equal(config);
    expect((again as CELoRADense).config).to.deep.equal(layer.config);
    for (const key of Object.keys(DEFAULT_CONFIG) as (keyof typeof DEFAULT_CONFIG)[]) {
      expect(config[key], key).to.equal(args[key]);
    }
    expect(config).to.include({trainable: false, trainBase: true, merged: false, useBias: false});
  });

  it('writes what Dense writes, and its own options beside it', () => {
    const args = {units: 4, activation: 'relu' as const, name: 'd', inputShape: [3]};
    const dense = json(tfl.layers.dense(args));
    const {activityRegularizer, ...shared} = dense;
    expect(activityRegularizer).to.equal(null);
    const config = json(celoraDense(args));
    expect(config).to.deep.include(shared);
    expect(Object.keys(config)).to.have.members([
      ...Object.keys(shared),
      ...Object.keys(DEFAULT_CONFIG),
      'trainBase',
      'merged',
    ]);
  });

  it('sets the weights of a Dense, or all; other numbers of them are errors', async () => {
    const layer = built({units: 4, rank: 3, trainBase: true});
    const [a, b] = [randomTensor([5, 3], 3), randomTensor([3, 4], 4)];
    const [kernel, bias] = [randomTensor([5, 4], 1), randomTensor([4], 2)];
    layer.setWeights([a, b, tf.zeros([5, 4]), tf.zeros([4])]);
    layer.setWeights([kernel, bias]);
    const weights = layer.getWeights();
    for (const [i, expected] of [a, b, kernel, bias].entries()) await expectSameBits(weights[i]!, expected);
    expect(() => layer.setWeights([a, b, kernel])).to.throw('length 3');
    expect(() => layer.setWeights([a, b])).to.throw('shape');
    const noBias = built({units: 4, rank: 3, useBias: false});
    noBias.setWeights([kernel]);
    await expectSameBits(noBias.getWeights()[2]!, kernel);
    const frozen = built({units: 4, rank: 0});
    frozen.setWeights([kernel, bias]);
    await expectSameBits(frozen.getWeights()[1]!, bias);
  });
});
