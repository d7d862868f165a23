import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {expect} from 'chai';
import {unzipSync} from 'fflate';
import type {Browser} from 'playwright-core';
import {chromiumOrSkip} from '../../browser/chromium.ts';
import {DemoPage} from './demo_page.ts';
import {type Site, serveDemo} from './site.ts';

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const MODEL = fileURLToPath(new URL('../../../demos/model', import.meta.url));
const TEXT = 'Call me Ishmael. Some years ago I thought I would sail about a little. ';

describe('the browser demo', function () {
  this.timeout(300_000);

  let browser: Browser | undefined;
  let site: Site;
  let demo: DemoPage;

  before(async function () {
    browser = await chromiumOrSkip(this);
    site = await serveDemo();
  });
  beforeEach(async () => {
    demo = await DemoPage.open(browser!, site.url);
  });
  afterEach(() => demo?.close());
  after(async () => {
    await browser?.close();
    await site?.close();
  });

  const small = {steps: 20, batch: 2, seq: 32, learningRate: 0.003, refreshEvery: 5};

  it('fine-tunes, goes on after a reload, and gives and takes the adapter', async () => {
    await demo.phase('ready');
    expect(await demo.text('#backend')).to.equal('WebAssembly, 1 thread');
    expect(await demo.takeNotices()).to.match(/^No GPU is used: .*WebAssembly computes on the processor/);
    expect((await demo.text('#sample-base')).length).to.be.above(60);

    await demo.set(small);
    await demo.type(TEXT.repeat(40));
    await demo.page.click('#train');
    await demo.step(8);
    await demo.page.click('#pause');
    await demo.soon('paused');
    const before = (await demo.events('step')).map(({figures}) => figures.loss);
    expect(before.length).to.be.within(8, 19);
    await demo.page.reload();
    await demo.soon('paused');
    expect(await demo.text('#stage')).to.match(/^A run on typed\.txt was not ended/);

    await demo.page.click('#continue');
    await demo.phase('training');
    await demo.soon('ready');
    const [resumed] = await demo.events('resumed');
    expect(resumed!.losses.slice(0, before.length)).to.deep.equal(before);
    const steps = await demo.events('step');
    const later = steps.filter(({method}) => method === 'celora').map(({figures}) => figures.loss);
    const losses = [...resumed!.losses, ...later];
    expect(losses).to.have.length(20);
    expect(mean(losses.slice(-5))).to.be.below(mean(losses.slice(0, 5)) - 0.5);
    expect(steps.filter(({method}) => method === 'exact')).to.have.length(20);
    const {saved, multiplyAdds} = steps.findLast(({method}) => method === 'celora')!.figures;
    expect(saved / multiplyAdds).to.be.within(0.05, 0.25);
    const selections = (await demo.events('selected')).flatMap(({layers}) => layers);
    expect(selections.length).to.be.above(0);
    for (const {energy} of selections) expect(energy).to.be.within(0, 1);

    const prompt = 'The captain said that the';
    const tuned = await demo.write(prompt);
    expect(tuned.adapter).to.not.equal(tuned.base);
    const downloading = demo.page.waitForEvent('download');
    await demo.page.click('#save-adapter');
    const download = await downloading;
    expect(download.suggestedFilename()).to.equal('CE-LoRA-adapter.zip');
    const path = await download.path();
    const bytes = await readFile(path);
    expect(Object.keys(unzipSync(bytes)).sort()).to.deep.equal(
      ['README.md', 'adapter_config.json', 'adapter_model.safetensors'].map(
        (name) => `CE-LoRA-adapter/${name}`,
      ),
    );

    await demo.page.reload();
    await demo.soon('ready');
    expect((await demo.write(prompt)).adapter).to.equal('');
    await demo.page.setInputFiles('#adapter-files', {
      name: 'mine.zip',
      mimeType: 'application/zip',
      buffer: bytes,
    });
    await demo.page.getByLabel('mine').waitFor();
    expect(await demo.write(prompt)).to.deep.equal(tuned);
    await demo.page.getByLabel('base model').check();
    expect(await demo.write(prompt)).to.deep.equal({base: tuned.base, adapter: ''});
  });

  it('says what is wrong, and stays usable', async () => {
    await demo.soon('ready');
    await demo.takeNotices();
    await demo.set({...small, rank: 0});
    await demo.page.click('#train');
    expect(await demo.text('#setting-rank-problem')).to.equal('must be at least 1, but is 0');
    expect(await demo.events('begun')).to.have.length(0);

    const notice = async () => {
      await demo.phase('ready');
      await demo.page.locator('#notices .error').waitFor();
      return await demo.takeNotices();
    };
    await demo.set({rank: 8, batch: 10_000});
    await demo.page.click('#train');
    expect(await notice()).to.match(
      /^Batch 10000 of 32 tokens takes about \d+\.\d GB of memory, but WebAssembly can have 3\.9 GB\. Change/,
    );

    await demo.set({batch: 2, steps: 5, learningRate: 1e30, compare: false});
    await demo.page.click('#train');
    expect(await notice()).to.match(/the loss became .* Lower the learning rate and fine-tune again\./);
    expect(await demo.text('#adapters')).to.match(/CE-LoRA/); // with the last good weights

    await demo.page.setInputFiles('#text-file input', {
      name: 'table.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from('a,b'),
    });
    await demo.page.click('#train');
    expect(await notice()).to.match(/^'table\.csv' is neither \.txt nor \.jsonl\. Choose another file\./);

    await demo.page.setInputFiles('#adapter-files', {
      name: 'bad.zip',
      mimeType: 'application/zip',
      buffer: Buffer.from('no zip'),
    });
    expect(await notice()).to.match(/^'bad\.zip' is no \.zip/);

    await demo.type(TEXT.repeat(40));
    await demo.set({learningRate: 0.003});
    await demo.page.click('#train');
    await demo.phase('training');
    await demo.soon('ready');
    expect(await demo.text('#stage')).to.equal('Done.');
  });

  it('loads a model from a folder, or from its address', async () => {
    const loaded = async () => {
      await demo.soon('ready');
      return (await demo.events('loaded')).at(-1)!.info.name;
    };
    expect(await loaded()).to.equal('the embedded model');
    await demo.takeNotices();
    await demo.page.click('text=Another model');
    await demo.page.setInputFiles('#model-folder', MODEL);
    expect(await loaded()).to.equal('model');
    await demo.page.fill('[name="url"]', `${site.url}model`);
    await demo.page.click('#model-url button');
    expect(await loaded()).to.equal(`${site.url}model`);

    await demo.page.fill('[name="url"]', `${site.url}none`);
    await demo.page.click('#model-url button');
    await demo.page.locator('#notices .error').waitFor();
    expect(await demo.takeNotices()).to.match(/none\/config\.json: there is no such file/);
    await demo.page.click('#model-embedded');
    expect(await loaded()).to.equal('the embedded model');
  });

  it('computes on WebGPU, and after the GPU is lost offers to go on', async () => {
    await demo.soon('ready');
    await demo.useBackend('webgpu');
    await demo.soon('ready');
    expect((await demo.events('started')).at(-1)!.info).to.include({backend: 'webgpu', isSoftware: true});
    await demo.takeNotices();
    await demo.type(TEXT.repeat(6));
    await demo.set({steps: 3, batch: 1, seq: 4, rank: 2, target: '4.mlp.up_proj$', compare: false});
    await demo.page.click('#train');
    await demo.step(1);
    await demo.page.click('#pause');
    await demo.phase('sampling', 'paused');
    await demo.page.workers().at(-1)!.evaluate('device.destroy()');
    await demo.page.locator('#notices .error').waitFor();
    expect(await demo.takeNotices()).to.match(/^The GPU was lost: .* can be resumed\.\s*Close$/);
    await demo.soon('paused');
    await demo.page.click('#stop');
    await demo.soon('ready');

    const error = "{error: new GPUOutOfMemoryError('no memory')}";
    const worker = demo.page.workers().at(-1)!;
    await worker.evaluate(`device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', ${error}))`);
    await demo.page.locator('#notices .error').waitFor();
    expect(await demo.takeNotices()).to.match(
      /^The GPU has no memory left: no memory\. The model was loaded anew\. Take a smaller batch/,
    );
    await demo.soon('ready');
  });
});
