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
    const compute = (terms: number) =>
      page.evaluate((count) => {
        let sum = 0;
        for (let i = 0; i < count; i++) sum += Math.sin(i);
        return sum;
      }, terms);
    const calm = await watchMainThread(browser, page, async () => void (await compute(1)));
    expect(calm.tasks).to.be.above(0);
    // so much that the fastest processor takes more than 50 ms
    const blocked = await watchMainThread(browser, page, async () => void (await compute(5e7)));
    expect(blocked.long).to.be.at.least(1);
    expect(blocked.longestCpuMs).to.be.above(50).and.above(calm.longestCpuMs);
    expect(blocked.longestMs).to.be.at.least(blocked.longestCpuMs - 1);
    expect(blocked.busy).to.be.within(0, 1);
  });

  it('names a shape that is none', async () => {
    const options = {rounds: 1, shapes: ['4,128'], say: () => {}, save: async () => {}};
    const error = await demoSuite(options as unknown as SuiteOptions).then(String, ({message}) => message);
    expect(error).to.equal("--shape must be batch,tokens,steps, but is '4,128'");
  });
});
