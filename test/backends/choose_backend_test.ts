import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {chooseBackend, setUpWebGPU} from '../../src/node.ts';
import {describeBackends} from '../backends.ts';
import {failure} from '../support/failure.ts';

describe('chooseBackend', () => {
  it('starts the one that is asked for', async () => {
    for (const name of ['cpu', 'wasm', 'cpu']) {
      const {backend, device, reason} = await chooseBackend(name);
      expect(backend).to.equal(name);
      expect(tf.getBackend()).to.equal(name);
      expect(device).to.not.equal('');
      expect(reason).to.equal('');
    }
  });

  it('names the backends there are, if there is none of that name', async () => {
    expect(await failure(chooseBackend('cuda'))).to.equal(
      "backend must be one of webgpu, tensorflow, wasm, cpu, but is 'cuda'",
    );
    expect(await failure(chooseBackend(''))).to.match(/but is ''$/);
  });

  it('says what to install', async function () {
    if (tf.findBackendFactory('tensorflow') != null) this.skip();
    expect(await failure(chooseBackend('tensorflow'))).to.equal(
      'TensorFlow for Node is not installed: npx tfjs-celora setup tensorflow',
    );
  });
});

describeBackends('setUpWebGPU and chooseBackend', (name) => {
  if (name !== 'webgpu') return;

  it('take a software adapter only if asked to', async function () {
    const adapter = await setUpWebGPU({allowSoftware: true});
    expect(await setUpWebGPU({allowSoftware: true})).to.equal(adapter);
    if (!adapter.isSoftware) this.skip();
    const refusal = `WebGPU finds only a software adapter: ${adapter.description}`;
    expect(await failure(setUpWebGPU())).to.equal(refusal);
    const {backend, reason} = await chooseBackend();
    expect(backend).to.not.equal('webgpu');
    expect(reason).to.include(refusal);
    expect(tf.getBackend()).to.equal(backend);
    expect((await chooseBackend('webgpu')).device).to.equal(`${adapter.description} (software)`);
  });
});
