import {expect} from 'chai';
import type {Browser} from 'playwright-core';
import {chromiumOrSkip} from '../../browser/chromium.ts';
import type {SuiteOptions} from '../suite.ts';
import {watchMainThread} from './main_thread.ts';
import {demoSuite} from './suite.ts';

describe('the benchmark of the browser demo', () => {
  let browser: Browser | undefined;
  after(() => browser?.close());

  it('tells tasks that block the main thread from those that do not', async function () {
    this.timeout(60_000);
    browser = await chromiumOrSkip(this);
    const page = await browser.newPage();
    await page.setContent('<p>');
    const block = (ms: number) =>
      page.evaluate((least) => {
        const end = performance.now() + least;
        while (performance.now() < end);
      }, ms);
    const calm = await watchMainThread(browser, page, () => block(0));
    expect(calm.tasks).to.be.above(0);
    expect(calm.longestMs).to.be.below(600);
    // much more than 50 ms, so that the processor's share is more too on a machine that has other work
    const blocked = await watchMainThread(browser, page, () => block(600));
    expect(blocked.long).to.be.at.least(1);
    expect(blocked.longestMs).to.be.at.least(600);
    expect(blocked.longestCpuMs).to.be.within(50, blocked.longestMs + 1);
    expect(blocked.busy).to.be.within(0, 1);
  });

  it('names a shape that is none', async () => {
    const options = {rounds: 1, shapes: ['4,128'], say: () => {}, save: async () => {}};
    const error = await demoSuite(options as unknown as SuiteOptions).then(String, ({message}) => message);
    expect(error).to.equal("--shape must be batch,tokens,steps, but is '4,128'");
  });
});
