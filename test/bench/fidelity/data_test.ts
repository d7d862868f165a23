import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {onBackend} from '../../demos/llama/fixtures.ts';
import {evenWindows} from './data.ts';

describe('bench fidelity: data', () => {
  onBackend('cpu');

  it('spreads held-out windows over the whole text', async () => {
    const ids = Int32Array.from({length: 20}, (_, i) => i);
    const source = evenWindows(ids, {length: 8, windows: 3, batchSize: 2});
    expect(source.count).to.equal(2);
    const [first, second] = [await source.batch(0), await source.batch(1)];
    expect(first.ids.arraySync().map(([start]) => start)).to.deep.equal([0, 6]);
    expect(second.ids.arraySync().map(([start]) => start)).to.deep.equal([11]);
    expect(second.labels.arraySync()[0]!.at(-1)).to.equal(19);
    tf.dispose([Object.values(first), Object.values(second)]);
  });
});
