import {expect} from 'chai';
import {ISOLATED} from '../../../demos/browser/vite.config.ts';
import {demoSuite, SMALL, slowly, TEXT} from './demo_suite.ts';

/** Before a worker's own code: a machine of which tfjs gives WebAssembly some cores. */
const CORES = "Object.defineProperty(WorkerNavigator.prototype, 'hardwareConcurrency', {value: 4});";

describe('the browser demo on WebAssembly with threads', function () {
  const suite = demoSuite(this, ISOLATED);

  slowly('computes as it does with one', async () => {
    const losses: number[][] = [];
    for (const prelude of ['', CORES]) {
      const demo = await suite.open(prelude);
      await demo.soon('ready');
      if (prelude !== '') expect(await demo.text('#backend')).to.equal('WebAssembly, 2 threads');
      await demo.type(TEXT.repeat(40));
      await demo.set({...SMALL, steps: 3, compare: false});
      await demo.page.click('#train');
      await demo.phase('training');
      await demo.soon('ready');
      losses.push((await demo.events('step')).map(({figures}) => figures.loss));
    }
    const [one, more] = losses;
    expect(more).to.have.length(3);
    for (const [i, loss] of more!.entries()) expect(loss).to.be.closeTo(one![i]!, 1e-4);
  });
});

describe('the browser demo on WebGPU', function () {
  const suite = demoSuite(this);

  it('refuses what the GPU has no memory for, and after it is lost offers to go on', async () => {
    const demo = await suite.open();
    await demo.soon('ready');
    await demo.useBackend('webgpu');
    await demo.soon('ready');
    expect((await demo.events('started')).at(-1)!.info).to.include({backend: 'webgpu', isSoftware: true});
    await demo.takeNotices();
    await demo.type(TEXT.repeat(6));
    await demo.set({steps: 3, batch: 1, seq: 4, rank: 2, target: '4.mlp.up_proj$', compare: false});

    const full = "device.popErrorScope = () => Promise.resolve(new GPUOutOfMemoryError('none'))";
    await demo.worker.evaluate(full);
    await demo.page.click('#train');
    expect(await demo.error()).to.match(
      /^Batch 1 of 4 tokens takes about 0\.0\d+ GB of memory, which the GPU does not have left\. Change/,
    );
    await demo.worker.evaluate('delete device.popErrorScope');

    await demo.page.click('#train');
    await demo.step(1);
    expect(await demo.text('#figures')).to.match(/GPU memory\s+\d+\.\d.MB/);
    await demo.page.click('#pause');
    await demo.phase('sampling', 'paused');
    await demo.worker.evaluate('device.destroy()');
    expect(await demo.error()).to.match(/^The GPU was lost: .* can be resumed\.\s*Close$/);
    await demo.soon('paused');
    await demo.page.click('#continue');
    await demo.phase('training');
    await demo.soon('ready');
    const [resumed] = await demo.events('resumed');
    expect(resumed!.losses.length).to.be.within(1, 3);
    expect((await demo.events('ended')).length).to.be.above(0);

    const error = "{error: new GPUOutOfMemoryError('no memory')}";
    await demo.worker.evaluate(
      `device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', ${error}))`,
    );
    expect(await demo.error()).to.match(
      /^The GPU has no memory left: no memory\. The model was loaded anew\. Take a smaller batch/,
    );
    await demo.soon('ready');
  });
});
