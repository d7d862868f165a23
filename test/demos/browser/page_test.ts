import {readFile} from 'node:fs/promises';
import {gzipSync} from 'node:zlib';
import {expect} from 'chai';
import {unzipSync} from 'fflate';
import type {DemoPage} from './demo_page.ts';
import {demoSuite, SMALL, TEXT} from './demo_suite.ts';
import {difference, logitsInNode, MODEL, VOCABULARY} from './in_node.ts';

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const LIMIT_BYTES = 700_000;

describe('the browser demo', function () {
  const suite = demoSuite(this);
  let demo: DemoPage;
  beforeEach(async () => {
    demo = await suite.open();
  });

  it('fine-tunes, goes on after a reload, and gives and takes the adapter', async () => {
    await demo.phase('ready');
    expect(await demo.text('#backend')).to.equal('WebAssembly, 1 thread');
    expect(await demo.takeNotices()).to.match(/^No GPU is used: .*WebAssembly computes on the processor/);
    expect((await demo.text('#sample-base')).length).to.be.above(60);

    await demo.set(SMALL);
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
    await demo.watchReads(VOCABULARY);
    const tuned = await demo.write(prompt);
    const logits = await demo.reads();
    expect(tuned.adapter).to.not.equal(tuned.base);
    const downloading = demo.page.waitForEvent('download');
    await demo.page.click('#save-adapter');
    const download = await downloading;
    expect(download.suggestedFilename()).to.equal('CE-LoRA-adapter.zip');
    const bytes = await readFile(await download.path());
    const names = ['README.md', 'adapter_config.json', 'adapter_model.safetensors'];
    const files = unzipSync(bytes);
    expect(Object.keys(files).sort()).to.deep.equal(names.map((name) => `CE-LoRA-adapter/${name}`));

    await demo.page.reload();
    await demo.soon('ready');
    expect((await demo.write(prompt)).adapter).to.equal('');
    await demo.page.setInputFiles('#adapter-files', {
      name: 'mine.zip',
      mimeType: 'application/zip',
      buffer: bytes,
    });
    await demo.page.getByLabel('mine').waitFor();
    await demo.watchReads(VOCABULARY);
    expect(await demo.write(prompt)).to.deep.equal(tuned);
    const again = await demo.reads();
    expect(again.length).to.equal(logits.length).and.above(60); // of the base, and with the adapter
    expect(Math.max(...again.map((values, i) => difference(values, logits[i]!)))).to.be.below(1e-5);
    const adapter = Object.fromEntries(names.map((name) => [name, files[`CE-LoRA-adapter/${name}`]!]));
    const inNode = await logitsInNode(prompt, {adapter});
    expect(Math.min(...again.map((values) => difference(values, inNode)))).to.be.below(1e-3);

    await demo.page.getByLabel('base model').check();
    expect(await demo.write(prompt)).to.deep.equal({base: tuned.base, adapter: ''});
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
    await demo.page.fill('[name="url"]', `${suite.site.url}model`);
    await demo.page.click('#model-url button');
    expect(await loaded()).to.equal(`${suite.site.url}model`);

    await demo.page.fill('[name="url"]', `${suite.site.url}none`);
    await demo.page.click('#model-url button');
    expect(await demo.error()).to.match(/none\/config\.json: there is no such file.* Choose another model\./);
    expect(await demo.text('#model-about')).to.match(/model: 4\.0.M parameters/); // still
    await demo.page.click('#model-embedded');
    expect(await loaded()).to.equal('the embedded model');
  });

  it('takes less to load than a picture, but for the model', async () => {
    const loaded: string[] = [];
    const page = await suite.open();
    page.page.on('request', (request) => loaded.push(request.url()));
    await page.page.reload();
    await page.phase('sampling');
    const own = [...new Set(loaded)].filter(
      (url) => url.startsWith(suite.site.url) && !/\/model\//.test(url),
    );
    const sizes = await Promise.all(
      own.map(async (url) => gzipSync(Buffer.from(await (await fetch(url)).arrayBuffer())).length),
    );
    expect(own.some((url) => /worker-.*\.js$/.test(url))).to.equal(true);
    expect(own.some((url) => /\.wasm$/.test(url))).to.equal(true);
    expect(sizes.reduce((sum, size) => sum + size, 0)).to.be.within(LIMIT_BYTES / 4, LIMIT_BYTES);
  });
});
