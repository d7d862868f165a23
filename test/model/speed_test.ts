import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, benchmarkCELoRA} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {celoraLayer} from './models.ts';

describeBackends('benchmarkCELoRA', (backend) => {
  // on a software GPU the factors take seconds
  const frozenRank = backend === 'webgpu' ? 0 : 2;

  function model(): tfl.LayersModel {
    const dense = (name: string) =>
      tfl.layers.dense({units: 24, name, ...(name === 'a' ? {inputShape: [24]} : {})});
    const made = tfl.sequential({layers: ['a', 'b', 'exact'].map(dense), name: 'three'});
    applyCELoRA(made, {rank: 2, frozenRank, keep: 0.5, overrides: [{target: 'exact', keep: 1}]});
    return made;
  }

  it('times layers alike once, takes an exact one for exact, and changes nothing', async () => {
    const three = model();
    const report = await benchmarkCELoRA(three, {rows: 8, rounds: 2});
    const [a, b, exact] = report.layers;
    expect(report.layers.map(({name}) => name)).to.deep.equal(['a', 'b', 'exact']);
    expect([b!.exactMs, b!.approximatedMs]).to.deep.equal([a!.exactMs, a!.approximatedMs]);
    expect(a!.exactMs).to.be.above(0);
    expect(a!.approximatedMs).to.be.above(0);
    expect(a!.approximatedIsFaster).to.equal(a!.approximatedMs < a!.exactMs);
    expect(exact!.approximatedIsFaster).to.equal(false);
    expect(String(report)).to.match(/^layer +in +out +keep +exact ms +approximated +faster\n/);
    expect(celoraLayer(three, 'a').config.keep).to.equal(0.5);
    expect(celoraLayer(three, 'a').gradient.stats.backwardPasses).to.equal(0);
  });

  it('makes those layers exact in which approximating loses, if it is told to', async () => {
    const three = model();
    const {layers} = await benchmarkCELoRA(three, {rows: 2, rounds: 1, apply: true});
    for (const {name, approximatedIsFaster} of layers) {
      expect(celoraLayer(three, name).config.keep).to.equal(approximatedIsFaster ? 0.5 : 1);
    }
  });

  it('leaks nothing', async () => {
    const three = model();
    await benchmarkCELoRA(three, {rows: 2, rounds: 1});
    const {numTensors} = tf.memory();
    await benchmarkCELoRA(three, {rows: 2, rounds: 1});
    expect(tf.memory().numTensors).to.equal(numTensors);
  });

  it('names a bad option', async () => {
    const error = await benchmarkCELoRA(model(), {rows: 0}).catch((reason: Error) => reason);
    expect(String(error)).to.contain('benchmarkCELoRA: rows must be an integer ≥ 1, but is 0');
  });
});
