import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, calibrateCELoRA} from '../../src/index.ts';
import {divideBudget} from '../../src/model/budget.ts';
import {describeBackends, expectNoLeaks} from '../backends.ts';
import {artifactsOf, celoraLayer, randomTensor, reload, SMALL} from './models.ts';

const spectrum = (size: number, power: number) => Array.from({length: size}, (_, i) => (i + 1) ** -power);
const sizes = (...energies: number[][]) => energies.map((one) => ({energies: one, columnCost: 1}));

describe('divideBudget', () => {
  const total = (counts: number[]) => counts.reduce((sum, k) => sum + k, 0);

  it('gives flat layers more columns than steep ones, at the same cost', () => {
    const [flat, steep] = divideBudget(sizes(spectrum(64, 0.5), spectrum(64, 2)), 0.5);
    expect(flat! + steep!).to.be.within(56, 64);
    expect(flat).to.be.above(2 * steep!);
  });

  it('cuts all layers at one threshold, relative to their largest energies', () => {
    const layers = sizes(spectrum(12, 1), spectrum(12, 1.5), spectrum(12, 3));
    const counts = divideBudget(layers, 0.4);
    expect(total(counts)).to.be.within(13, 14);
    const least = layers.map(({energies}, i) => energies[counts[i]! - 1]!);
    const dropped = layers.map(({energies}, i) => energies[counts[i]!] ?? 0);
    expect(Math.min(...least)).to.be.at.least(Math.max(...dropped) * 0.99);
  });

  it('does not care for the order or the size of energies', () => {
    const [a, b] = [spectrum(16, 1), spectrum(16, 2)];
    const wanted = divideBudget(sizes(a, b), 0.5);
    expect(
      divideBudget(
        sizes(
          a.toReversed(),
          b.map((e) => 1000 * e),
        ),
        0.5,
      ),
    ).to.deep.equal(wanted);
  });

  it('counts what a column costs', () => {
    const energies = spectrum(64, 1);
    const [dear, cheap] = divideBudget(
      [
        {energies, columnCost: 4},
        {energies, columnCost: 1},
      ],
      0.5,
    );
    expect(4 * dear! + cheap!).to.be.within(0.4 * 5 * 64, 0.5 * 5 * 64);
  });

  it('keeps the share of equal energies', () => {
    expect(divideBudget(sizes(Array(32).fill(2), Array(32).fill(7)), 0.25)).to.deep.equal([8, 8]);
  });

  it('spends nothing on columns without energy while others want it', () => {
    const dead = [...Array(4).fill(1), ...Array(28).fill(0)];
    const [few, many] = divideBudget(sizes(dead, Array(32).fill(1)), 0.5);
    expect(few).to.equal(4);
    expect(many).to.equal(28);
  });

  it('keeps something of a layer without energy, and of one column', () => {
    expect(divideBudget(sizes(Array(16).fill(0), [3], spectrum(16, 1)), 0.3).every((k) => k >= 1)).to.equal(
      true,
    );
  });
});

const OUT = 32;

/** Two layers side by side, whose kernels' columns are of unequal and of equal size, and a head. */
function twoSpectra(): tfl.LayersModel {
  const x = tfl.input({shape: [16], name: 'x'});
  const dense = (name: string, units: number, from: tfl.SymbolicTensor) =>
    tfl.layers.dense({name, units, useBias: false}).apply(from) as tfl.SymbolicTensor;
  const first = dense('first', 24, x);
  const [steep, flat] = [dense('steep', OUT, first), dense('flat', OUT, first)];
  const sum = tfl.layers.add({}).apply([steep, flat]) as tfl.SymbolicTensor;
  const model = tfl.model({inputs: x, outputs: dense('head', 4, sum), name: 'two'});
  for (const [i, name] of ['first', 'steep', 'flat', 'head'].entries()) {
    const layer = model.getLayer(name);
    const shape = layer.getWeights()[0]!.shape as [number, number];
    const kernel = tf.mul(randomTensor(shape, i + 1), 1 / Math.sqrt(shape[0]));
    const size = tf.tensor1d(
      Array.from({length: shape[1]}, (_, c) => (name === 'steep' ? (c + 1) ** -1.5 : 1)),
    );
    layer.setWeights([tf.mul(kernel, size)]);
  }
  return model;
}

describeBackends('calibrateCELoRA', () => {
  const lossOf = (model: tfl.LayersModel) => () =>
    tf.mean(tf.square(model.apply(randomTensor([20, 16], 9), {training: true}) as tf.Tensor)) as tf.Scalar;
  const target = ['first', 'steep', 'flat'];

  it('gives the flat layer more columns at the same cost, and says so', async () => {
    const model = twoSpectra();
    applyCELoRA(model, {...SMALL, target, frozenRank: 0});
    const report = await calibrateCELoRA(model, lossOf(model));
    // the first one's input leads to nothing trainable
    expect(report.layers.map(({name}) => name)).to.have.members(['steep', 'flat']);
    const keep = Object.fromEntries(report.layers.map((layer) => [layer.name, layer.keep]));
    expect(keep.flat).to.be.above(1.5 * keep.steep!);
    expect(report.keep).to.be.within(0.46, 0.5);
    expect(String(report)).to.contain('flat').and.to.contain('%');
    expect(celoraLayer(model, 'flat').config.keep).to.equal(keep.flat);
    expect(celoraLayer(model, 'first').config.keep).to.equal(0.5);
  });

  it('spends the keep that is given, and is saved with the model', async () => {
    const model = twoSpectra();
    applyCELoRA(model, {...SMALL, target, frozenRank: 0});
    const report = await calibrateCELoRA(model, lossOf(model), {keep: 0.25});
    expect(report.keep).to.be.within(0.2, 0.25);
    const loaded = await reload(await artifactsOf(model));
    for (const {name, keep} of report.layers) expect(celoraLayer(loaded, name).config.keep).to.equal(keep);
  });

  it('uses the new number of columns in the next pass, and counts no pass itself', async () => {
    const model = twoSpectra();
    applyCELoRA(model, {...SMALL, target});
    const loss = lossOf(model);
    const {gradient} = celoraLayer(model, 'flat');
    tf.dispose(tf.variableGrads(loss).grads);
    const before = gradient.stats;
    const report = await calibrateCELoRA(model, loss);
    expect(gradient.stats).to.deep.equal(before);
    tf.dispose(tf.variableGrads(loss).grads);
    const {kept} = report.layers.find(({name}) => name === 'flat')!;
    expect(gradient.stats.kept).to.equal(kept);
    expect(kept).not.to.equal(before.kept);
  });

  it('counts what a column costs over all passes, exact ones among them', async () => {
    const kept = async (every: Record<'steep' | 'flat', number>) => {
      const model = twoSpectra();
      const overrides = Object.entries(every).map(([name, exactEvery]) => ({target: name, exactEvery}));
      applyCELoRA(model, {...SMALL, target, frozenRank: 0, overrides});
      const {layers} = await calibrateCELoRA(model, lossOf(model));
      return layers.toSorted((a, b) => a.name.localeCompare(b.name)).map((layer) => layer.kept);
    };
    const [flat, steep] = await kept({steep: 0, flat: 0});
    expect(await kept({steep: 3, flat: 3})).to.deep.equal([flat, steep]);
    // the flat layer's columns cost half as much: those that the steep one gives up pay for more of them
    const [cheap] = await kept({steep: 0, flat: 2});
    expect(cheap).to.be.above(flat!);
    expect(await kept({steep: 1, flat: 0})).to.have.length(1);
  });

  it('leaves exact layers and sampled rows as they are', async () => {
    const model = twoSpectra();
    const overrides = [{target: 'flat', keep: 1}, {target: 'steep', axis: 'rows'} as const];
    applyCELoRA(model, {...SMALL, target, overrides});
    expect((await calibrateCELoRA(model, lossOf(model))).layers).to.deep.equal([]);
  });

  it('leaks nothing', async () => {
    const model = twoSpectra();
    applyCELoRA(model, {...SMALL, target});
    const loss = lossOf(model);
    await calibrateCELoRA(model, loss); // makes the factors
    await expectNoLeaks(() => calibrateCELoRA(model, loss));
  });

  it('names what is wrong', async () => {
    const model = twoSpectra();
    const message = async (keep?: number) =>
      calibrateCELoRA(model, lossOf(model), keep === undefined ? {} : {keep}).then(
        () => 'nothing',
        (error: Error) => error.message,
      );
    expect(await message()).to.match(/calibrateCELoRA: model two has no CELoRADense/);
    applyCELoRA(model, {...SMALL, target});
    expect(await message(0)).to.match(/keep must be a number with 0 < keep ≤ 1, but is 0/);
  });
});
