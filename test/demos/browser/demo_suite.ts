import type {Browser} from 'playwright-core';
import {chromiumOrSkip} from '../../browser/chromium.ts';
import {SLOW_TOO, skipSlow} from '../../browser/slow.ts';
import {DemoPage} from './demo_page.ts';
import {type Site, serveDemo} from './site.ts';

export interface DemoSuite {
  site: Site;
  /** Opens the demo; it is closed after the test. @param prelude What its workers run before their own code. */
  open(prelude?: string): Promise<DemoPage>;
}

/**
 * Has a Chromium and the built demo for the tests of a suite, which is skipped where Chromium cannot start.
 * @param headers That the demo's files are sent with.
 */
export function demoSuite(suite: Mocha.Suite, headers: Record<string, string> = {}): DemoSuite {
  suite.timeout(300_000);
  let browser: Browser;
  let site: Site | undefined;
  let pages: DemoPage[] = [];
  before(async function () {
    browser = await chromiumOrSkip(this);
    site = await serveDemo(headers);
  });
  afterEach(async () => {
    await Promise.all(pages.map((page) => page.close()));
    pages = [];
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });
  return {
    get site() {
      return site!;
    },
    async open(prelude) {
      const demo = await DemoPage.open(browser, site!.url, prelude);
      pages.push(demo);
      return demo;
    },
  };
}

/** A test that takes long: only npm run test:browser has it. */
export function slowly(title: string, test: () => Promise<void>): void {
  if (SLOW_TOO) it(title, test);
  else skipSlow(title);
}

/** A run that takes a processor seconds. */
export const SMALL = {steps: 20, batch: 2, seq: 32, learningRate: 0.003, refreshEvery: 5};

export const TEXT = 'Call me Ishmael. Some years ago I thought I would sail about a little. ';
