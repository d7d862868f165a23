import {expect} from 'chai';
import type {DemoPage} from './demo_page.ts';
import {demoSuite, SMALL, TEXT} from './demo_suite.ts';
import {MODEL} from './in_node.ts';

const NO_WEBGPU = 'delete WorkerNavigator.prototype.gpu;';
const NO_WEBASSEMBLY = `for (const name of ['instantiate', 'instantiateStreaming']) {
  WebAssembly[name] = () => Promise.reject(new Error('refused'));
}`;
/** In a worker: its WebAssembly cannot have more memory than it has. */
const FULL = `WebAssembly.Memory.prototype.grow = () => {
  throw new RangeError('WebAssembly.Memory.grow(): Maximum memory size exceeded');
}`;

describe("the browser demo's errors", function () {
  const suite = demoSuite(this);

  /** The demo with its model loaded, and settings for a short run. */
  async function ready(): Promise<DemoPage> {
    const demo = await suite.open();
    await demo.soon('ready');
    await demo.takeNotices();
    await demo.set({...SMALL, steps: 5, compare: false});
    return demo;
  }

  async function expectUsable(demo: DemoPage): Promise<void> {
    await demo.type(TEXT.repeat(40));
    await demo.page.click('#train');
    await demo.phase('training');
    await demo.soon('ready');
    expect(await demo.text('#stage')).to.equal('Done.');
  }

  it('name a setting that is wrong, or takes too much memory, and one that diverges', async () => {
    const demo = await ready();
    await demo.set({rank: 0});
    await demo.page.click('#train');
    expect(await demo.text('#setting-rank-problem')).to.equal('must be at least 1, but is 0');
    expect(await demo.page.evaluate(() => document.activeElement!.id)).to.equal('setting-rank');
    expect(await demo.events('begun')).to.have.length(0);

    await demo.set({rank: 8, batch: 10_000});
    await demo.page.click('#train');
    expect(await demo.error()).to.match(
      /^Batch 10000 of 32 tokens takes about \d+\.\d GB of memory, but WebAssembly can have 3\.9 GB\. Change/,
    );
    expect(await demo.text('#stage')).to.equal('It did not begin.');

    await demo.set({batch: 2, target: 'nothing'});
    await demo.page.click('#train');
    expect(await demo.error()).to.match(
      /target \/nothing\/ matches no Dense layer; there are: model\.layers\..* Change the setting/,
    );
    await demo.page.reload();
    await demo.soon('ready'); // with no run to continue
    await demo.takeNotices();
    await demo.set({...SMALL, steps: 5, compare: false, learningRate: 1e30});
    await demo.page.click('#train');
    expect(await demo.error()).to.match(/the loss became .* Lower the learning rate and fine-tune again\./);
    expect(await demo.text('#stage')).to.match(/^Ended at step \d of 5 by an error\.$/);
    expect(await demo.text('#adapters')).to.match(/CE-LoRA/); // with the last good weights

    await demo.set({learningRate: 0.003});
    await expectUsable(demo);
  });

  it('name a file that is none of its kind', async () => {
    const demo = await ready();
    await demo.page.setInputFiles('#text-file input', {
      name: 'table.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from('a,b'),
    });
    await demo.page.click('#train');
    expect(await demo.error()).to.match(/^'table\.csv' is neither \.txt nor \.jsonl\. Choose another file\./);
    await demo.page.setInputFiles('#adapter-files', {
      name: 'bad.zip',
      mimeType: 'application/zip',
      buffer: Buffer.from('no zip'),
    });
    expect(await demo.error()).to.match(/^'bad\.zip' is no \.zip/);
    await expectUsable(demo);
  });

  it('say what is lost in a browser without WebGPU', async () => {
    const demo = await suite.open(NO_WEBGPU);
    await demo.soon('ready');
    expect(await demo.text('#backend')).to.match(/^WebAssembly/);
    expect(await demo.takeNotices()).to.match(
      /^No GPU is used: this browser has no WebGPU\. WebAssembly computes on the processor, many times slower/,
    );
    await demo.useBackend('webgpu');
    expect(await demo.error()).to.match(/WebGPU.* Choose another backend in the settings\./);
    await demo.useBackend('auto');
    await demo.soon('ready');
  });

  it('say so where nothing computes', async () => {
    const demo = await suite.open(NO_WEBGPU + NO_WEBASSEMBLY);
    expect(await demo.error()).to.match(
      /^WebAssembly does not start in this browser\. Choose another backend in the settings\./,
    );
    await demo.phase('broken');
    expect(await demo.text('#model-about')).to.equal('No model is loaded.');
    expect(await demo.page.locator('[data-when]:enabled').count()).to.equal(1); // the choice of a backend
  });

  it('let another model be taken where there is none', async () => {
    const demo = await suite.open();
    await demo.page.context().route('**/model/config.json', (route) => route.fulfill({status: 404}));
    await demo.page.reload();
    await demo.page.locator('#notices .error').waitFor();
    expect(await demo.overflowOnPhone()).to.be.at.most(0); // though it names a long address
    expect(await demo.error()).to.match(
      /model\/config\.json: there is no such file.* Choose another model\./,
    );
    await demo.phase('empty');
    expect(await demo.text('#model-about')).to.equal('No model is loaded.');
    expect(await demo.page.locator('#train').isEnabled()).to.equal(false);
    await demo.page.click('text=Another model');
    await demo.page.setInputFiles('#model-folder', MODEL);
    await demo.soon('ready');
    expect(await demo.page.locator('#train').isEnabled()).to.equal(true);
  });

  it('load the model anew when there is no memory left', async () => {
    const demo = await ready();
    await demo.set({batch: 32, seq: 128});
    await demo.worker.evaluate(FULL);
    await demo.page.click('#train');
    expect(await demo.error()).to.match(
      /^out of memory: WebAssembly has no \d+ bytes left\. The model was loaded anew\. Take a smaller batch/,
    );
    await demo.soon('paused');
    await demo.page.click('#stop');
    await demo.soon('ready');
    await demo.set({batch: 2, seq: 32});
    await expectUsable(demo);
  });
});
