import {fileURLToPath} from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {setUpWebGPU} from '../../src/node.ts';
import {useCELoRAWebGPU} from '../../src/webgpu.ts';
import {describeBackends} from '../backends.ts';
import {runNode} from '../support/command.ts';
import {failure} from '../support/failure.ts';
import type {Seen} from './webgpu_child.ts';

const CHILD = fileURLToPath(new URL('webgpu_child.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describeBackends('useCELoRAWebGPU', (backend) => {
  if (backend !== 'webgpu') return;

  /** What the child saw; it is a process of its own since it starts the backend, and loses its device. */
  let seen: Seen;
  before(async () => {
    seen = JSON.parse((await runNode(CHILD, ROOT)).trim().split('\n').at(-1)!);
  });

  it('starts the backend on a device with the features asked for and the adapter’s limits', () => {
    expect(seen.withoutWebGPU).to.equal(
      'useCELoRAWebGPU: there is no WebGPU here (navigator.gpu); in Node, setUpWebGPU makes it',
    );
    expect(seen.withoutFeature).to.match(
      /^useCELoRAWebGPU: features has 'no-such-feature', which .+ lacks; it has .*timestamp-query/,
    );
    expect(seen.current).to.equal('webgpu');
    expect(seen.found.features).to.include('timestamp-query');
    expect(seen.found.features.includes('subgroups')).to.equal(seen.offered.includes('subgroups'));
    expect(seen.features).to.include.members(seen.found.features);
    for (const [ofDevice, ofAdapter] of seen.limits) expect(ofDevice).to.equal(ofAdapter);
    expect(seen.product).to.deep.equal([3, 3, 3]);
    expect(seen.again).to.equal(
      "useCELoRAWebGPU: backend 'webgpu' has started already; call this before anything uses it",
    );
  });

  it('leaves a lost device to be replaced: an error that says so where a result is read, and at the next pass', () => {
    const text =
      "the GPU device is lost (destroyed: device was destroyed), and all its tensors with it; tf.removeBackend('webgpu'), " +
      'start the backend again, make the model anew and resume from a checkpoint';
    expect(seen.lost.messages).to.deep.equal([`a read: ${text}`, `LoRAMatMul: ${text}`]);
    expect(seen.lost.product).to.deep.equal([3, 3, 3]);
  });

  it('computes without the checks of robustness too', () => {
    expect(seen.unchecked).to.deep.equal([3, 3, 3]);
  });

  it('names a wrong option and its value', async () => {
    const messages: [object, string][] = [
      [{allowSoftware: 1}, 'allowSoftware must be a boolean, but is 1'],
      [{features: 'subgroups'}, "features must be an array of names, but is 'subgroups'"],
      [{powerPreference: 'most'}, "powerPreference must be 'high-performance' or 'low-power', but is 'most'"],
    ];
    for (const [options, message] of messages) {
      expect(await failure(useCELoRAWebGPU(options))).to.equal(`useCELoRAWebGPU: ${message}`);
      expect(await failure(setUpWebGPU(options))).to.equal(`setUpWebGPU: ${message}`);
    }
  });

  it('names an option that there is not', async () => {
    const names = 'allowSoftware, features, powerPreference';
    const options = {feature: []} as object;
    expect(await failure(useCELoRAWebGPU(options))).to.equal(
      `useCELoRAWebGPU: unknown option feature; there are ${names}`,
    );
    expect(await failure(setUpWebGPU(options))).to.equal(
      `setUpWebGPU: unknown option feature; there are ${names}, robustness`,
    );
  });

  it('names an option of Node alone that is wrong, and knows it nowhere else', async () => {
    expect(await failure(setUpWebGPU({robustness: 0} as object))).to.equal(
      'setUpWebGPU: robustness must be a boolean, but is 0',
    );
    expect(await failure(useCELoRAWebGPU({robustness: true} as object))).to.equal(
      'useCELoRAWebGPU: unknown option robustness; there are allowSoftware, features, powerPreference',
    );
  });

  it('is told from a backend that has started without a feature', async () => {
    const features = ['no-such-feature'] as unknown as GPUFeatureName[];
    expect(await failure(setUpWebGPU({allowSoftware: true, features}))).to.equal(
      "setUpWebGPU: features has 'no-such-feature', but the backend has started without it",
    );
  });

  it('times kernels in Node more finely than browsers do', async function () {
    const {features} = await setUpWebGPU({allowSoftware: true});
    if (!features.includes('timestamp-query')) this.skip();
    const x = tf.ones([64, 64]);
    const nanoseconds: number[] = [];
    for (let i = 0; i < 10; i++) {
      const {kernelMs} = await tf.time(() => tf.add(x, i).dispose());
      nanoseconds.push(Math.round((kernelMs as number) * 1e6));
    }
    expect(nanoseconds.filter((time) => time % 2 ** 16 !== 0)).to.not.deep.equal([]);
  });
});
