import {startChromium} from '../../browser/chromium.ts';
import {bundle} from '../../browser/pages.ts';
import type {Suite} from '../suite.ts';
import type {PageOptions} from './page.ts';

/** What is measured, by how many numbers its shapes have. */
const PARTS = [
  ['gradient', 3],
  ['jax', 3],
  ['step', 8],
] as const;

/**
 * The suites 'gradient' and 'step' in Chromium instead of Node, and a peer's product: what a person's browser computes at.
 * Each runs on a page of its own, beside nothing. One that fails is reported, and the others go on.
 */
export const chromiumSuite: Suite = async ({shapes, adapter = 'gpu', say, save, ...options}) => {
  const scripts = await bundle({bench: "import '../bench/chromium/page.ts';"});
  const browser = await startChromium(adapter);
  const all: object[] = [];
  say(`Chromium ${browser.version()}, ${adapter}`);
  for (const [part, numbers] of PARTS) {
    const own = shapes?.filter((shape) => shape.split(',').length === numbers);
    if (own?.length === 0) continue;
    const page = await scripts.open(browser, 'bench');
    page.on('console', (message) => {
      if (message.type() === 'log') say(message.text());
    });
    try {
      const measured = await page.evaluate(
        ([name, given]) =>
          (globalThis as unknown as {run(name: string, options: PageOptions): Promise<object>}).run(
            name,
            given,
          ),
        [part, {...options, adapter, shapes: own} as PageOptions] as const,
      );
      all.push({part, chromium: browser.version(), ...measured});
    } catch (error) {
      const [message] = (error as Error).message.split('\n');
      say(`${part} fails: ${message}`);
      all.push({part, failure: message});
    }
    await page.close();
    await save(all);
  }
  await browser.close();
  return all;
};
