import {performance} from 'node:perf_hooks';
import {promisify} from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {patientSetImmediate} from '../../src/backends/patient_polling.ts';
import {describeBackends} from '../backends.ts';

describe('patientSetImmediate', () => {
  /** A function as Dawn's are: native, without a name. It asks again until there are no more answers. */
  function asking(setImmediate: (callback: () => void) => unknown, answers: number): () => void {
    const question = () => {
      if (--answers > 0) setImmediate(native);
    };
    const native: () => void = new Proxy(question, {});
    Object.defineProperty(question, 'name', {value: ''});
    return native;
  }

  function recorded() {
    const calls: string[] = [];
    const due: (() => void)[] = [];
    const clock = {ms: 0};
    const setImmediate = patientSetImmediate(
      (callback, ...args) => {
        calls.push(['at once', ...args].join(' '));
        due.push(() => callback(...args));
        return 'immediate';
      },
      (callback, ms) => {
        calls.push(`in ${ms} ms`);
        due.push(callback);
        return 'timeout';
      },
      () => clock.ms,
    );
    /** Runs what is due, each after so many milliseconds, and tells when each was to run. */
    const run = (ms: number) => {
      while (due.length > 0) {
        clock.ms += ms;
        due.shift()!();
      }
      return calls.splice(0);
    };
    return {setImmediate, run};
  }

  it('asks at once for 5 ms of a wait, and every millisecond after', () => {
    const {setImmediate, run} = recorded();
    expect(setImmediate(asking(setImmediate, 5))).to.equal('immediate');
    expect(run(2)).to.deep.equal(['at once', 'at once', 'at once', 'in 1 ms', 'in 1 ms']);
  });

  it('begins every wait anew', () => {
    const {setImmediate, run} = recorded();
    setImmediate(asking(setImmediate, 3));
    expect(run(4)).to.deep.equal(['at once', 'at once', 'in 1 ms']);
    setImmediate(asking(setImmediate, 2));
    expect(run(4)).to.deep.equal(['at once', 'at once']);
  });

  it('begins anew also after a question that threw', () => {
    const {setImmediate, run} = recorded();
    const throwing = new Proxy(() => {
      throw new Error('lost');
    }, {});
    Object.defineProperty(throwing, 'name', {value: ''});
    setImmediate(throwing);
    expect(() => run(9)).to.throw('lost');
    setImmediate(asking(setImmediate, 1));
    expect(run(9).at(-1)).to.equal('at once');
  });

  it('leaves everything else to the stock one, with its arguments and what it returns', async () => {
    const {setImmediate, run} = recorded();
    const got: unknown[] = [];
    const own = (...args: unknown[]) => void got.push(args);
    expect([setImmediate(own), setImmediate(own, 1, 'a'), setImmediate(own.bind(null))]).to.deep.equal(
      new Array(3).fill('immediate'),
    );
    const resolved: number[] = [];
    for (let i = 0; i < 3; i++)
      void new Promise<void>((resolve) => setImmediate(resolve as () => void)).then(() => resolved.push(i));
    expect(run(9)).to.deep.equal(['at once', 'at once 1 a', 'at once', 'at once', 'at once', 'at once']);
    expect(got).to.deep.equal([[], [1, 'a'], []]);
    await undefined;
    expect(resolved).to.deep.equal([0, 1, 2]);
  });
});

describeBackends('waiting for the device', (backend) => {
  if (backend !== 'webgpu') return;

  it('is patient, and leaves setImmediate as it was for others', async () => {
    expect(await promisify(setImmediate)('value')).to.equal('value');
    const handle = setImmediate(() => expect.fail('it was cleared'));
    clearImmediate(handle);
    if (process.platform === 'win32') return;
    /** For how long the event loop had nothing to do; asking in every turn leaves it none. */
    const idle = () => performance.eventLoopUtilization().idle;
    const before = idle();
    // until a wait takes longer than the eager part of it, on a GPU too
    const x = tf.ones([256, 256]);
    for (let products = 1; idle() === before && products <= 2 ** 12; products *= 2) {
      const last = tf.tidy(() => {
        let y: tf.Tensor = x;
        for (let i = 0; i < products; i++) y = tf.div(tf.matMul(y, x), 256);
        return y;
      });
      expect((await last.data())[0]).to.be.closeTo(1, 1e-3);
      last.dispose();
    }
    x.dispose();
    expect(idle()).to.be.above(before);
  });
});
