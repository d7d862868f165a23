import {expect} from 'chai';
import {demoSuite, SMALL} from './demo_suite.ts';

const focused = (): string | undefined => document.activeElement?.id;

describe('the browser demo, for everyone', function () {
  const suite = demoSuite(this);

  it('is used from the keyboard alone', async () => {
    const demo = await suite.open();
    await demo.phase('ready');
    await demo.set({...SMALL, steps: 200, compare: false});
    const {page} = demo;
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    const reached = new Set<string>();
    /** Presses Tab until the element of an id has the focus. */
    const tabTo = async (id: string) => {
      for (let i = 0; i < 80; i++) {
        await page.keyboard.press('Tab');
        const now = await page.evaluate(focused);
        if (now) reached.add(now);
        if (now === id) return;
      }
      throw new Error(`Tab does not reach ${id}`);
    };
    await tabTo('train');
    expect([...reached]).to.include.members(['setting-base', 'setting-target']);
    await page.keyboard.press('Enter');
    await demo.step(1);
    await tabTo('pause'); // the next one, though the button that had the focus is disabled now
    await page.keyboard.press('Space');
    await demo.phase('sampling');
    await tabTo('hush');
    await page.keyboard.press('Enter');
    await demo.phase('paused');
    await page.keyboard.press('Shift+Tab');
    await tabTo('save-adapter');
    expect(await demo.overflowOnPhone()).to.be.at.most(0); // with all that a run shows
  });

  it('has a label for every control, and an explanation for every setting', async () => {
    const {page} = await suite.open();
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLInputElement>('input, select, textarea, button')]
        .filter(({labels, ariaLabel, textContent}) => !labels?.length && !ariaLabel && !textContent?.trim())
        .map(({outerHTML}) => outerHTML),
    );
    expect(nameless).to.deep.equal([]);
    const unexplained = await page.evaluate(() =>
      [...document.querySelectorAll('#settings .field')]
        .filter((field) => !field.querySelector('small')?.textContent)
        .map(({outerHTML}) => outerHTML),
    );
    expect(unexplained).to.deep.equal([]);
  });

  it('fits a phone, light and dark, and does not move where motion is not wanted', async () => {
    const demo = await suite.open();
    const {page} = demo;
    await page.emulateMedia({reducedMotion: 'reduce'});
    await demo.phase('ready', 'sampling');
    const seen = new Set<string>();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({colorScheme, reducedMotion: 'reduce'});
      const {paper, moves} = await page.evaluate(() => ({
        paper: getComputedStyle(document.body).backgroundColor,
        moves: [...document.querySelectorAll('button')].filter(
          (button) => getComputedStyle(button).transitionDuration !== '0s',
        ).length,
      }));
      expect(await demo.overflowOnPhone()).to.be.at.most(0);
      expect(moves).to.equal(0);
      seen.add(paper);
    }
    expect(seen.size).to.equal(2);
  });
});
