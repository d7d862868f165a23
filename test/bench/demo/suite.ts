import {gzipSync} from 'node:zlib';
import * as tf from '@tensorflow/tfjs-core';
import type {Browser} from 'playwright-core';
import {DEFAULT_SETTINGS, type Settings} from '../../../demos/browser/settings.ts';
import {ISOLATED} from '../../../demos/browser/vite.config.ts';
import {formatTable} from '../../../src/model/table.ts';
import {startChromium} from '../../browser/chromium.ts';
import {DemoPage} from '../../demos/browser/demo_page.ts';
import {type Site, serveDemo} from '../../demos/browser/site.ts';
import {median, type Suite} from '../suite.ts';
import {watchMainThread} from './main_thread.ts';
import {runInNode, type Speeds, speedsOf} from './node_run.ts';

/** Rows and tokens of a batch, and steps. */
const SHAPE = '4,128,20';

function settingsOf(shape: string): Settings {
  const numbers = shape.split(',').map(Number);
  const [batch, seq, steps] = numbers as [number, number, number];
  if (numbers.length !== 3 || !numbers.every((n) => Number.isSafeInteger(n) && n > 0)) {
    throw new Error(`--shape must be batch,tokens,steps, but is '${shape}'`);
  }
  return {...DEFAULT_SETTINGS, batch, seq, steps};
}

/** What a person waits for: the size of the page without its model, and the time to the first word that it writes. */
async function firstLoad(browser: Browser, site: Site) {
  const demo = await DemoPage.open(browser, 'about:blank');
  const urls = new Set<string>();
  demo.page.on('request', (request) => urls.add(request.url()));
  await demo.page.goto(site.url);
  await demo.phase('ready');
  const {info} = (await demo.events('started'))[0]!;
  const log = await demo.page.evaluate(() =>
    window.events.map((event, i) => ({
      what: event.type === 'sample' && event.text !== '' ? 'word' : event.type,
      ms: window.times[i]!,
    })),
  );
  const [loadedMs, firstWordMs, sampledMs] = ['loaded', 'word', 'sampled'].map(
    (wanted) => log.find(({what}) => what === wanted)!.ms,
  ) as [number, number, number];
  await demo.close();
  const own = [...urls].filter((url) => url.startsWith(site.url) && !url.includes('/model/'));
  const bodies = await Promise.all(
    own.map(async (url) => Buffer.from(await (await fetch(url)).arrayBuffer())),
  );
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
  const gzipBytes = bodies.reduce((sum, body) => sum + gzipSync(body).length, 0);
  return {device: info.device, files: own.length, bytes, gzipBytes, loadedMs, firstWordMs, sampledMs};
}

/** The demo with a backend, its settings made. */
async function openDemo(browser: Browser, site: Site, settings: Settings): Promise<DemoPage> {
  const demo = await DemoPage.open(browser, site.url);
  await demo.phase('ready');
  await demo.useBackend(tf.getBackend());
  await demo.soon('ready');
  await demo.takeNotices();
  await demo.set(settings);
  return demo;
}

async function trainOn(demo: DemoPage): Promise<void> {
  await demo.page.click('#train');
  await demo.phase('training');
  await demo.page.waitForFunction(
    () => window.events.some(({type}) => type === 'trained' || type === 'error'),
    null,
    {timeout: 0},
  );
  const [error] = await demo.events('error');
  if (error) throw new Error(`the demo fails: ${error.message}`);
}

/**
 * The browser demo in Chromium beside the same run in Node, on the same backend of the same machine, in turn: the first
 * load, tokens in a second, and what the page's main thread does while its worker trains.
 */
export const demoSuite: Suite = async ({rounds, shapes = [SHAPE], adapter = 'gpu', say, save}) => {
  const all: object[] = [];
  const sizes = shapes.map((shape) => ({shape, settings: settingsOf(shape)}));
  const site = await serveDemo(ISOLATED);
  const browser = await startChromium(adapter);
  say(`Chromium ${browser.version()}, ${adapter}`);
  const load = await firstLoad(browser, site);
  say(
    `first load, on ${load.device}: ${load.files} files, ${(load.gzipBytes / 1e6).toFixed(2)} MB compressed without the model; ` +
      `model there after ${load.loadedMs.toFixed(0)} ms, first word after ${load.firstWordMs.toFixed(0)}`,
  );
  all.push({chromium: browser.version(), load});
  for (const {shape, settings} of sizes) {
    const speeds: Record<'chromium' | 'node', Speeds[]> = {chromium: [], node: []};
    for (let round = 0; round < rounds; round++) {
      const demo = await openDemo(browser, site, settings);
      await trainOn(demo);
      speeds.chromium.push(speedsOf(await demo.events('step')));
      await demo.close();
      speeds.node.push(await runInNode(settings));
    }
    const demo = await openDemo(browser, site, settings);
    const mainThread = await watchMainThread(browser, demo.page, () => trainOn(demo));
    await demo.close();
    const tokensPerSecond = Object.fromEntries(
      Object.entries(speeds).map(([where, list]) => [
        where,
        {celora: median(list.map(({celora}) => celora)), exact: median(list.map(({exact}) => exact))},
      ]),
    ) as Record<keyof typeof speeds, Speeds>;
    say(`\n${shape}, tokens/s (median of ${rounds})`);
    const rows = Object.entries(tokensPerSecond).map(([where, {celora, exact}]) => [
      where,
      celora.toFixed(0),
      exact.toFixed(0),
    ]);
    say(formatTable([['', 'CE-LoRA', 'exact LoRA'], ...rows]));
    const {tasks, longestMs, longestCpuMs, long, busy} = mainThread;
    say(
      `main thread while training: ${tasks} tasks, ${long} of more than 50 ms of the processor; the longest ` +
        `${longestCpuMs.toFixed(1)} ms (${longestMs.toFixed(1)} by the clock); busy ${(100 * busy).toFixed(1)} %`,
    );
    all.push({shape, tokensPerSecond, speeds, mainThread});
    await save(all);
  }
  await browser.close();
  await site.close();
  return all;
};
