import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {fineTune} from '../../src/index.ts';
import {describeOnHost} from '../model/models.ts';
import {busyModel, busyOptions} from './runs.ts';

describeOnHost('fineTune, what it reads from the device', () => {
  afterEach(() => {
    for (const name of ['read', 'readSync']) Reflect.deleteProperty(tf.engine(), name);
  });

  it('is one number a step, and the next step does not wait for it', async () => {
    const engine = tf.engine();
    const read = engine.read.bind(engine);
    const readSync = engine.readSync.bind(engine);
    const model = busyModel();
    const options = {...busyOptions(model), evaluation: undefined, budget: 'uniform', accumulate: 1} as const;
    const sizes: number[] = [];
    let answer = () => {};
    let steps = 0;
    const waits = new Set<number>();
    Object.assign(engine, {
      // a loss is known when the one after it is computed, that of the last step at once
      async read(id: object) {
        const values = await read(id);
        sizes.push(values.length);
        if (sizes.length < options.steps) await new Promise<void>((resolve) => (answer = resolve));
        return values;
      },
      readSync(id: object) {
        waits.add(steps);
        return readSync(id);
      },
    });
    const {losses} = await fineTune({
      ...options,
      loss(batch, apply) {
        answer();
        steps++;
        return options.loss(batch, apply);
      },
    });
    expect(losses).to.have.length(options.steps);
    expect(sizes).to.deep.equal(Array(options.steps).fill(1));
    // but in a layer's first approximated one, as these backends make the frozen factors on the host; one has 5 exact ones before
    expect([...waits]).to.deep.equal([1, 6]);
    model.dispose();
  });
});
