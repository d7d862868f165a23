import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {saveModel} from '../../../../demos/browser/layers/model_files.ts';
import type {LayersEvent, LayersSettings} from '../../../../demos/browser/layers/protocol.ts';
import {LayersSession} from '../../../../demos/browser/layers/session.ts';
import {NonFiniteLossError} from '../../../../src/index.ts';
import {randomStream} from '../../../../src/random.ts';
import {onBackend} from '../../llama/fixtures.ts';

const settings: LayersSettings = {steps: 30, batch: 16, learningRate: 0.01, rank: 4, keep: 0.5, seed: 1};

/** Points of the plane; their label is the quadrant they lie in, or the number x + 2y. */
function csv(kind: 'quadrant' | 'number' | 'side'): File {
  const random = randomStream(3);
  const lines = Array.from({length: 200}, () => {
    const [x, y] = [2 * random() - 1, 2 * random() - 1];
    const label = {quadrant: `${x > 0}/${y > 0}`, number: `${x + 2 * y}`, side: x > 0 ? 'right' : 'left'}[
      kind
    ];
    return `${x},${y},${label}`;
  });
  return new File([`x,y,label\n${lines.join('\n')}\n`], `${kind}.csv`);
}

function modelOf(units: number, activation: 'softmax' | 'sigmoid' | 'linear'): tfl.LayersModel {
  const start = (seed: number) => ({kernelInitializer: tfl.initializers.glorotNormal({seed})});
  return tfl.sequential({
    name: 'points',
    layers: [
      tfl.layers.dense({units: 16, activation: 'tanh', inputShape: [2], name: 'hidden_1', ...start(1)}),
      tfl.layers.dense({units: 16, activation: 'tanh', name: 'hidden_2', ...start(2)}),
      tfl.layers.dense({units, activation, name: 'out', ...start(3)}),
    ],
  });
}

function sessionOf(model: tfl.LayersModel): {session: LayersSession; events: LayersEvent[]} {
  const events: LayersEvent[] = [];
  const session = new LayersSession((event) => events.push(event));
  session.take(model);
  return {session, events};
}

describe('LayersSession', () => {
  onBackend('cpu');

  it('lists the Dense layers with their cost, and leaves the model as it is', async () => {
    const model = modelOf(4, 'softmax');
    const before = model.predict(tf.ones([1, 2])) as tf.Tensor;
    const {events} = sessionOf(model);
    const [loaded] = events;
    if (loaded?.type !== 'layers-loaded') throw new Error('it was not loaded');
    const {layers, ...info} = loaded.info;
    expect(info).to.deep.equal({name: 'points', parameters: 48 + 272 + 68, input: [2], outputs: 4});
    expect(layers.map(({name, inputs, units, full}) => [name, inputs, units, full])).to.deep.equal([
      ['hidden_1', 2, 16, 3 * 32],
      ['hidden_2', 16, 16, 3 * 256],
      ['out', 16, 4, 3 * 64],
    ]);
    expect(layers.every(({exactLoRA, celora}) => celora > 0 && celora <= exactLoRA)).to.equal(true);
    const after = model.predict(tf.ones([1, 2])) as tf.Tensor;
    expect([...(await after.data())]).to.deep.equal([...(await before.data())]);
  });

  const CASES = [
    ['quadrant', 4, 'softmax'],
    ['quadrant', 4, 'linear'],
    ['side', 1, 'sigmoid'],
    ['side', 1, 'linear'],
    ['side', 2, 'sigmoid'],
    ['number', 1, 'linear'],
  ] as const;
  for (const [kind, units, activation] of CASES) {
    it(`learns: ${kind}, ${units} ${activation} outputs; the rest of the model stays`, async () => {
      const model = modelOf(units, activation);
      const {session, events} = sessionOf(model);
      const kernels = () => Promise.all(model.layers.map((layer) => layer.getWeights()[0]!.array()));
      const before = await kernels();
      await session.train({data: {kind: 'csv', file: csv(kind)}, layers: ['hidden_2', 'out'], settings});
      const [, begun, ...steps] = events;
      const trained = steps.pop();
      if (begun?.type !== 'layers-begun' || trained?.type !== 'layers-trained') throw new Error('no end');
      expect(steps.map((event) => event.type === 'layers-step' && event.step)).to.deep.equal(
        Array.from({length: 30}, (_, i) => i + 1),
      );
      expect(trained.after.loss).to.be.lessThan(0.7 * begun.before.loss);
      if (kind === 'number') expect(trained.after.accuracy).to.equal(undefined);
      else expect(trained.after.accuracy).to.be.greaterThan(0.5);
      expect(begun.about).to.match(/^180 rows, 20 held out, /);
      const after = await kernels();
      expect(after[0]).to.deep.equal(before[0]);
      expect(after[1]).to.not.deep.equal(before[1]);
      expect(model.layers.map((layer) => layer.getClassName())).to.deep.equal(['Dense', 'Dense', 'Dense']);
    });
  }

  it('saves what stock tfjs loads', async () => {
    const {session} = sessionOf(modelOf(4, 'softmax'));
    await session.train({data: {kind: 'csv', file: csv('quadrant')}, layers: ['hidden_2'], settings});
    const {name, files} = await session.save();
    expect(name).to.equal('points');
    expect(Object.keys(files).sort()).to.deep.equal(['model.json', 'model.weights.bin']);
    const json = JSON.parse(new TextDecoder().decode(files['model.json']));
    const artifacts = {
      modelTopology: json.modelTopology,
      weightSpecs: json.weightsManifest[0].weights,
      weightData: files['model.weights.bin']!.buffer,
    };
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(artifacts));
    expect((await saveModel(loaded))['model.weights.bin']).to.deep.equal(files['model.weights.bin']);
  });

  it('leaves the model as it was where training fails, and says what is wrong', async () => {
    const model = modelOf(4, 'softmax');
    const {session} = sessionOf(model);
    const before = await model.getWeights()[2]!.array();
    const attempt = (changes: Partial<LayersSettings>, layers = ['hidden_2']) =>
      session
        .train({data: {kind: 'csv', file: csv('quadrant')}, layers, settings: {...settings, ...changes}})
        .then(
          () => '',
          (error: Error) => error.message,
        );
    expect(await attempt({batch: 1000})).to.match(/too few for a batch of 1000/);
    expect(await attempt({keep: 2})).to.match(/keep must be/);
    expect(await attempt({}, [])).to.match(/applyCELoRA/);
    expect(model.layers.map((layer) => layer.getClassName())).to.deep.equal(['Dense', 'Dense', 'Dense']);
    expect(await model.getWeights()[2]!.array()).to.deep.equal(before);
    expect(await attempt({})).to.equal('');
  });

  it('survives a loss that becomes no number', async () => {
    const model = modelOf(1, 'linear');
    const {session} = sessionOf(model);
    const job = {data: {kind: 'csv', file: csv('number')} as const, layers: ['hidden_2', 'out']};
    const error = await session
      .train({...job, settings: {...settings, learningRate: 1e30}})
      .catch((e: Error) => e);
    expect(error).to.be.instanceOf(NonFiniteLossError);
    await session.train({...job, settings});
  });

  it('refuses models that it cannot train', () => {
    const [a, b] = [tfl.input({shape: [2], name: 'a'}), tfl.input({shape: [3], name: 'b'})];
    const joined = tfl.layers.concatenate().apply([a, b]) as tfl.SymbolicTensor;
    const output = tfl.layers.dense({units: 2}).apply(joined) as tfl.SymbolicTensor;
    const model = tfl.model({inputs: [a, b], outputs: output, name: 'two'});
    expect(() => sessionOf(model)).to.throw('two has inputs [2],[3] and outputs [2]; one input');
    const convolution = tfl.sequential({
      layers: [tfl.layers.conv2d({filters: 1, kernelSize: 2, inputShape: [4, 4, 1]}), tfl.layers.flatten()],
    });
    expect(() => sessionOf(convolution)).to.throw(/no Dense|match/);
  });
});
