import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {unzipSync} from 'fflate';
import type {Browser} from 'playwright-core';
import {saveModel} from '../../../../demos/browser/layers/model_files.ts';
import {randomStream} from '../../../../src/random.ts';
import {chromiumOrSkip} from '../../../browser/chromium.ts';
import {dataFolder, onBackend} from '../../llama/fixtures.ts';
import {DemoPage} from '../demo_page.ts';
import {type Site, serveDemo} from '../site.ts';
import {digitsModel, lyingDigits} from './digits.ts';

const SIDE = 8;
const LABELS = ['across', 'down', 'none'];

/** A noisy picture of SIDE × SIDE grey pixels, 0 … 255, with a bar across, one down, or none. */
function picture(label: string, random: () => number): number[] {
  const at = 1 + Math.floor(random() * (SIDE - 2));
  return Array.from({length: SIDE * SIDE}, (_, i) => {
    const isBar = {across: Math.floor(i / SIDE) === at, down: i % SIDE === at}[label] ?? false;
    return Math.round((isBar ? 160 : 0) + 90 * random());
  });
}

/** A square Windows bitmap of grey pixels, whose rows go from the bottom to the top, and fill whole words. */
function bitmap(pixels: readonly number[]): Buffer {
  const side = Math.sqrt(pixels.length);
  const headers = Buffer.alloc(54);
  headers.write('BM');
  headers.writeUInt32LE(54 + 3 * pixels.length, 2);
  headers.writeUInt32LE(54, 10);
  headers.writeUInt32LE(40, 14);
  headers.writeInt32LE(side, 18);
  headers.writeInt32LE(side, 22);
  headers.writeUInt16LE(1, 26);
  headers.writeUInt16LE(24, 28);
  const rows = Array.from({length: side}, (_, row) => pixels.slice((side - 1 - row) * side).slice(0, side));
  return Buffer.concat([headers, Buffer.from(rows.flat().flatMap((grey) => [grey, grey, grey]))]);
}

/** A network that has learned nothing yet. */
function untrained(): tfl.LayersModel {
  const kernel = (seed: number) => ({kernelInitializer: tfl.initializers.heNormal({seed})});
  return tfl.sequential({
    name: 'bars',
    layers: [
      tfl.layers.flatten({inputShape: [SIDE, SIDE, 1]}),
      tfl.layers.dense({units: 48, activation: 'relu', name: 'hidden_1', ...kernel(1)}),
      tfl.layers.dense({units: 48, activation: 'relu', name: 'hidden_2', ...kernel(2)}),
      tfl.layers.dense({units: LABELS.length, activation: 'softmax', name: 'classes', ...kernel(3)}),
    ],
  });
}

describe('a layers-model in the browser demo', () => {
  onBackend('cpu');
  let browser: Browser | undefined;
  let site: Site;
  let demo: DemoPage;
  let folder: string;
  const path = (...names: string[]) => join(folder, ...names);

  before(async function () {
    browser = await chromiumOrSkip(this);
    site = await serveDemo();
    folder = await mkdtemp(join(tmpdir(), 'celora-layers-'));
    for (const [name, bytes] of Object.entries(await saveModel(untrained())))
      await writeFile(path(name), bytes);
    const random = randomStream(5);
    for (const label of LABELS) {
      await mkdir(path('images', label), {recursive: true});
      for (let i = 0; i < 60; i++) {
        await writeFile(path('images', label, `${i}.bmp`), bitmap(picture(label, random)));
      }
    }
  });
  beforeEach(async () => {
    demo = await DemoPage.open(browser!, site.url);
    demo.page.setDefaultTimeout(100_000); // of a machine that has other work too
    // the embedded model writes when it is loaded
    await demo.page.waitForFunction(() => window.events.some(({type}) => type === 'sampled'));
    await demo.phase('ready');
    await demo.page.locator('#layers-title').click();
  });
  afterEach(() => demo?.close());
  after(async () => {
    await browser?.close();
    await site?.close();
    if (folder !== undefined) await rm(folder, {recursive: true});
  });

  const load = async (...files: string[]) => {
    await demo.page.setInputFiles(
      '#layers-drop input',
      files.map((name) => path(name)),
    );
    await demo.phase('ready');
  };

  it('is converted, learns labelled images, and is given back as stock tfjs loads it', async () => {
    const {page} = demo;
    await load('model.json', 'model.weights.bin');
    expect(await demo.text('#layers-about')).to.match(/^bars: 5\.6.k parameters, \[8,8,1\] → 3$/);
    const layers = page.locator('#layers-choice tbody tr');
    expect(await layers.count()).to.equal(3);
    expect(await layers.nth(1).innerText()).to.match(/hidden_2\s+48\s→\s48/);
    await page.uncheck('[aria-label="Convert hidden_1"]');

    await page.setInputFiles('#layers-images input', path('images'));
    expect(await demo.text('#layers-data-about')).to.equal('180 images of 3 labels');
    await page.fill('#layers-steps', '150');
    await page.fill('#layers-learningRate', '0.01');
    await page.click('#layers-train');
    await demo.phase('ready');
    expect(await demo.takeNotices()).to.not.match(/error/i);
    const [begun] = await demo.events('layers-begun');
    const [trained] = await demo.events('layers-trained');
    expect(await demo.events('layers-step')).to.have.length(150);
    expect(begun!.before.accuracy).to.be.below(0.7);
    expect(trained!.after.accuracy).to.be.above(0.8);
    expect(await demo.text('#layers-about')).to.match(/^Held out, before: .* % right.*; after: .* % right/);

    const [saved] = await Promise.all([page.waitForEvent('download'), page.click('#layers-save')]);
    expect(saved.suggestedFilename()).to.equal('bars.zip');
    const files = unzipSync(await readFile(await saved.path()));
    const json = JSON.parse(new TextDecoder().decode(files['bars/model.json']));
    const model = await tfl.loadLayersModel(
      tf.io.fromMemory({
        modelTopology: json.modelTopology,
        weightSpecs: json.weightsManifest[0].weights,
        weightData: Uint8Array.from(files['bars/model.weights.bin']!).buffer,
      }),
    );
    expect(model.layers.map((layer) => layer.getClassName())).to.deep.equal([
      'Flatten',
      'Dense',
      'Dense',
      'Dense',
    ]);
    const random = randomStream(17);
    const pictures = LABELS.flatMap((label) => Array.from({length: 30}, () => picture(label, random)));
    const x = tf.tensor4d(
      pictures.flat().map((grey) => grey / 255),
      [pictures.length, SIDE, SIDE, 1],
    );
    const guesses = await tf.argMax(model.predict(x) as tf.Tensor, -1).data();
    const right = guesses.filter((guess, i) => guess === Math.floor(i / 30)).length;
    expect(right / guesses.length).to.be.above(0.8);
    // what was not chosen is as it was
    const kernel = (one: tfl.LayersModel) => one.getLayer('hidden_1').getWeights()[0]!.array();
    expect(await kernel(model)).to.deep.equal(await kernel(untrained()));
  });

  describe('that was trained on digits', () => {
    const weights = dataFolder('mnist-mlp');

    it('learns to read them lying on their side', async () => {
      await mkdir(path('digits'));
      for (const [name, bytes] of Object.entries(await saveModel(await digitsModel(weights)))) {
        await writeFile(path('digits', name), bytes);
      }
      for (let digit = 0; digit < 10; digit++) {
        await mkdir(path('lying', `${digit}`), {recursive: true});
        for (const [i, pixels] of (await lyingDigits(digit, 40)).entries()) {
          await writeFile(path('lying', `${digit}`, `${i}.bmp`), bitmap(pixels));
        }
      }
      await load('digits/model.json', 'digits/model.weights.bin');
      await demo.page.setInputFiles('#layers-images input', path('lying'));
      await demo.page.fill('#layers-steps', '150');
      await demo.page.click('#layers-train');
      await demo.phase('ready');
      const [begun] = await demo.events('layers-begun');
      const [trained] = await demo.events('layers-trained');
      expect(begun!.about).to.equal('360 rows, 40 held out, labels 0, 1, 2, 3, 4, 5, 6, 7, 8, 9');
      expect(begun!.before.accuracy).to.be.below(0.4);
      expect(begun!.ceiling).to.be.above(1.05);
      expect(trained!.after.accuracy).to.be.above(0.6);
    });
  });

  it('needs no tfjs on the page, only in the worker', async () => {
    const source = await demo.page.locator('script[type="module"]').first().getAttribute('src');
    const script = await (await fetch(new URL(source!, site.url))).text();
    expect(script).to.include('layers-load');
    expect(script).to.not.include('registerKernel').and.not.include('tidy');
  });

  it('takes folders that are dropped', async () => {
    await load('model.json', 'model.weights.bin');
    await demo.drop('#layers-images', path('images'));
    await demo.page.waitForFunction(() =>
      /^180 images of 3 labels$/.test(document.querySelector('#layers-data-about')!.textContent!),
    );
  });

  it('says what is wrong with a model or with data, and goes on', async () => {
    await writeFile(path('other.json'), '{"modelTopology": {}, "weightsManifest": []}');
    const wrong: [files: string[], message: RegExp][] = [
      [['model.json'], /model\.weights\.bin is missing, which model\.json names/],
      [['model.weights.bin'], /there are 0 \.json among these/],
      [['other.json'], /other\.json does not load as a layers-model: /],
    ];
    for (const [files, message] of wrong) {
      await load(...files);
      expect(await demo.takeNotices()).to.match(message);
    }
    expect(await demo.text('#layers-about')).to.equal('It was not loaded.');
    await load('model.json', 'model.weights.bin');
    await demo.page.click('#layers-train');
    expect(await demo.text('#layers-data-about')).to.equal('Choose a CSV or a folder of images first.');
    await writeFile(path('rows.csv'), '1,2,across\n');
    await demo.page.setInputFiles('#layers-csv input', path('rows.csv'));
    await demo.page.fill('#layers-keep', '2');
    await demo.page.click('#layers-train');
    expect(await demo.text('#layers-data-about')).to.equal(
      'Keep must be a number with 0 < keep ≤ 1, but is 2.',
    );
    await demo.page.fill('#layers-keep', '0.5');
    const boxes = demo.page.locator('#layers-choice td input');
    for (const box of await boxes.all()) await box.uncheck();
    await demo.page.click('#layers-train');
    expect(await demo.text('#layers-data-about')).to.equal('Choose a layer to convert first.');
    await boxes.first().check();
    await demo.page.click('#layers-train');
    await demo.phase('ready');
    expect(await demo.takeNotices()).to.match(/rows\.csv, row 1 has 3 columns; the model takes 64 features/);
    expect(await demo.text('#layers-about')).to.equal('It was not trained, and is as it was.');
  });
});
