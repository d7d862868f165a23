import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, type CELoRAConfig, diagnoseCELoRA} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {celoraLayer, randomTensor} from './models.ts';

const [IN, OUT, ROWS] = [6, 16, 10];

function twoLayers(options: Partial<CELoRAConfig>) {
  const model = tfl.sequential({
    layers: [
      tfl.layers.dense({units: IN, inputShape: [5], useBias: false, name: 'first'}),
      tfl.layers.dense({units: OUT, useBias: false, name: 'second'}),
    ],
  });
  for (const [i, layer] of model.layers.entries()) {
    layer.setWeights([randomTensor(layer.getWeights()[0]!.shape, i + 1)]);
  }
  applyCELoRA(model, {rank: 2, frozenRank: 0, exactEvery: 0, ...options});
  const [x, dy] = [randomTensor([ROWS, 5], 5), randomTensor([ROWS, OUT], 6)];
  // linear in the output, so that dy is the gradient
  const loss = () => tf.sum(tf.mul(model.apply(x) as tf.Tensor, dy)) as tf.Scalar;
  return {model, loss, dy};
}

describeBackends('diagnoseCELoRA', () => {
  it("says of each layer what plain formulas say; the first layer's dx leads to nothing", async () => {
    const {model, loss, dy} = twoLayers({keep: 0.5});
    const {layers} = await diagnoseCELoRA(model, loss);
    expect(layers.map(({name}) => name)).to.deep.equal(['second']);
    const w = (await celoraLayer(model, 'second').baseVariables().kernel.read().array()) as number[][];
    const g = (await dy.array()) as number[][];
    const column = (m: number[][], i: number) => m.reduce((sum, row) => sum + row[i]! ** 2, 0);
    const energies = Array.from({length: OUT}, (_, i) => column(g, i) * column(w, i));
    const best = energies
      .map((_, i) => i)
      .sort((a, b) => energies[b]! - energies[a]!)
      .slice(0, OUT / 2);
    const sum = (of: number[]) => of.reduce((a, b) => a + b, 0);
    const dx = (columns: number[]) =>
      g.flatMap((row) => w.map((to) => sum(columns.map((i) => row[i]! * to[i]!))));
    const [all, some] = [dx([...energies.keys()]), dx(best)];
    const dot = (a: number[], b: number[]) => sum(a.map((value, i) => value * b[i]!));
    const difference = all.map((value, i) => value - some[i]!);
    const [found] = layers;
    expect(found!.kept).to.equal(OUT / 2);
    expect(found!.keptEnergy).to.be.closeTo(sum(best.map((i) => energies[i]!)) / sum(energies), 1e-5);
    expect(found!.cosine).to.be.closeTo(dot(all, some) / Math.sqrt(dot(all, all) * dot(some, some)), 1e-5);
    expect(found!.relativeError).to.be.closeTo(Math.sqrt(dot(difference, difference) / dot(all, all)), 1e-5);
    expect(found!.saved).to.equal(0.5);
  });

  it('looks at an approximated pass where every n-th is exact, and counts those in what is saved', async () => {
    const run = async (options: Partial<CELoRAConfig>) => {
      const {model, loss} = twoLayers({keep: 0.5, ...options});
      return (await diagnoseCELoRA(model, loss)).layers[0]!;
    };
    const {saved, ...always} = await run({});
    expect(await run({exactEvery: 4})).to.deep.equal({...always, saved: 0.75 * saved});
    expect(await run({exactEvery: 1})).to.include({saved: 0});
  });

  it('finds nothing wrong with an exact gradient', async () => {
    const {model, loss} = twoLayers({keep: 1});
    const {layers} = await diagnoseCELoRA(model, loss);
    expect(layers[0]).to.include({kept: OUT, keptEnergy: 1, saved: 0});
    expect(layers[0]!.cosine).to.be.closeTo(1, 1e-6);
    expect(layers[0]!.relativeError).to.be.closeTo(0, 1e-6);
  });

  it('has no energy to tell of sampled rows', async () => {
    const {model, loss} = twoLayers({keep: 0.5, axis: 'rows'});
    const [found] = (await diagnoseCELoRA(model, loss)).layers;
    expect(found).to.include({kept: ROWS / 2, keptEnergy: undefined, saved: 0.5});
    expect(found!.relativeError).to.be.above(0.1);
  });

  it('is a table and an SVG', async () => {
    const {model, loss} = twoLayers({keep: 0.5});
    const report = await diagnoseCELoRA(model, loss);
    expect(String(report)).to.match(/^layer +kept +energy +cosine +error +saved\nsecond +8 /);
    const svg = report.toSVG();
    expect(svg).to.match(/^<svg [^>]*>/);
    expect(svg).to.contain('>second<').and.to.contain('>50 %<');
  });

  it('changes nothing and leaks nothing', async () => {
    const {model, loss} = twoLayers({keep: 0.5, frozenRank: 1});
    const {gradient} = celoraLayer(model, 'second');
    tf.dispose(tf.variableGrads(loss).grads);
    const [before, selected] = [gradient.stats, gradient.indices];
    await diagnoseCELoRA(model, loss);
    expect(gradient.stats).to.deep.equal(before);
    expect(gradient.indices).to.equal(selected);
    const {numTensors} = tf.memory();
    await diagnoseCELoRA(model, loss);
    expect(tf.memory().numTensors).to.equal(numTensors);
  });
});
