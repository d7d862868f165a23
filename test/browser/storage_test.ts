import {expect} from 'chai';
import type {Browser, Page} from 'playwright-core';
import {chromiumOrSkip} from './chromium.ts';
import {bundle} from './pages.ts';
import type {StoragePage} from './storage_page.ts';

type Which = 'opfs' | 'inIndexedDB' | 'chosen';

/** A page's storage, asked from here. */
function storageOn(page: Page, which: Which): StoragePage {
  const ask =
    (method: keyof StoragePage) =>
    (...args: string[]): Promise<never> =>
      page.evaluate(
        ([which, method, args]) => {
          const {storageOf} = globalThis as unknown as {storageOf: (which: string) => StoragePage};
          const call = storageOf(which)[method] as (...args: string[]) => Promise<unknown>;
          return call(...args);
        },
        [which, method, args] as const,
      ) as Promise<never>;
  return {save: ask('save'), load: ask('load'), list: ask('list'), delete: ask('delete')};
}

describe('storage of checkpoints in Chromium', () => {
  let browser: Browser | undefined;
  let page: Page;

  before(async function () {
    browser = await chromiumOrSkip(this);
    page = await (await bundle({storage: "import './storage_page.ts';"})).open(browser, 'storage');
  });

  after(() => browser?.close());

  for (const which of ['opfs', 'inIndexedDB', 'chosen'] as const) {
    it(`keeps files by folder, also when the page is loaded again: ${which}`, async () => {
      const storage = storageOn(page, which);
      expect(await storage.list('run/celora')).to.deep.equal([]);
      expect(await storage.load('run/celora', 'a')).to.equal(undefined);
      await storage.save('run/celora', 'a', 'first');
      await storage.save('run/celora', 'b', '');
      await storage.save('run/exact', 'a', 'other');
      await storage.save('run', 'run.json', '{}');
      await storage.save('run/celora', 'a', 'second, longer');
      await storage.save('run/celora', 'a', 'third');
      await page.reload();
      expect(await storage.list('run/celora')).to.deep.equal(['a', 'b']);
      expect(await storage.list('run')).to.deep.equal(['run.json']);
      expect(await storage.load('run/celora', 'a')).to.equal('third');
      expect(await storage.load('run/celora', 'b')).to.equal('');
      expect(await storage.load('run/exact', 'a')).to.equal('other');

      await storage.delete('run/exact');
      await storage.delete('run/none');
      expect(await storage.list('run/exact')).to.deep.equal([]);
      expect(await storage.load('run/celora', 'a')).to.equal('third');
      await storage.delete('run');
      expect(await storage.list('run')).to.deep.equal([]);
      expect(await storage.list('run/celora')).to.deep.equal([]);
    });
  }

  it('keeps the file from before while another one is written in its place', async () => {
    const storage = storageOn(page, 'opfs');
    await storage.save('run', 'state', 'whole');
    await page.evaluate(async () => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('run');
      const writable = await (await folder.getFileHandle('state')).createWritable();
      await writable.write('ha'); // and the page goes
    });
    await page.reload();
    expect(await storage.load('run', 'state')).to.equal('whole');
    expect(await storage.list('run')).to.deep.equal(['state']);
  });

  it('takes the file system where there is one, and a database elsewhere', async () => {
    const chosen = storageOn(page, 'chosen');
    await chosen.save('first', 'a', '1');
    expect(await storageOn(page, 'opfs').load('first', 'a')).to.equal('1');
    await page.reload();
    await page.evaluate(() => {
      navigator.storage.getDirectory = () => Promise.reject(new DOMException('', 'SecurityError'));
    });
    await chosen.save('second', 'a', '2');
    expect(await storageOn(page, 'inIndexedDB').load('second', 'a')).to.equal('2');
    expect(await chosen.load('first', 'a')).to.equal(undefined);
  });
});
