import type {Browser, BrowserContext, Page} from 'playwright-core';
import type {Event} from '../../../demos/browser/protocol.ts';
import type {Settings} from '../../../demos/browser/settings.ts';

declare global {
  interface Window {
    /** All that workers have told the page since it was loaded. */
    events: Event[];
  }
}

/** SwiftShader takes long. */
const WAIT_MS = 100_000;

/** Runs on the page before its own scripts. */
function recordEvents(): void {
  window.events = [];
  const Stock = Worker;
  window.Worker = class extends Stock {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      this.addEventListener('message', ({data}: MessageEvent<Event>) => window.events.push(data));
    }
  };
}

/** The demo in a browser, as a person handles it. */
export class DemoPage {
  readonly page: Page;
  private readonly context: BrowserContext;

  private constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
  }

  static async open(browser: Browser, url: string): Promise<DemoPage> {
    // Chromium takes no locale of the system's here that charts understand
    const context = await browser.newContext({locale: 'en-US'});
    const page = await context.newPage();
    await page.addInitScript(recordEvents);
    await page.goto(url);
    return new DemoPage(context, page);
  }

  close(): Promise<void> {
    return this.context.close();
  }

  /** Waits until the page is in one of these phases. */
  async phase(...names: string[]): Promise<void> {
    await this.page.waitForFunction((all) => all.includes(document.body.dataset.phase!), names, {
      timeout: WAIT_MS,
    });
  }

  /** The same, without waiting for the sample that is written before. */
  async soon(name: 'ready' | 'paused'): Promise<void> {
    await this.phase('sampling');
    await this.page.click('#hush');
    await this.phase(name);
  }

  async events<T extends Event['type']>(type: T): Promise<Extract<Event, {type: T}>[]> {
    const events = await this.page.evaluate(
      (wanted) => window.events.filter((event) => event.type === wanted),
      type,
    );
    return events as Extract<Event, {type: T}>[];
  }

  /** Waits until a step of a run is done. */
  async step(step: number): Promise<void> {
    await this.page.waitForFunction(
      (least) => window.events.some((event) => event.type === 'step' && event.figures.step >= least),
      step,
      {timeout: WAIT_MS},
    );
  }

  async set(settings: Partial<Settings>): Promise<void> {
    await this.page.evaluate(() => {
      document.querySelector<HTMLElement>('#settings')!.closest('details')!.open = true;
    });
    for (const [name, value] of Object.entries(settings)) {
      const control = this.page.locator(`#setting-${name}`);
      await (typeof value === 'boolean' ? control.setChecked(value) : control.fill(String(value)));
    }
  }

  async useBackend(backend: string): Promise<void> {
    await this.set({});
    await this.page.selectOption('#backend-choice', backend);
  }

  async type(text: string): Promise<void> {
    await this.page.check('input[value="typed"]');
    await this.page.fill('#text-typed textarea', text);
  }

  /** Drops a file or folder of the disk on an element. */
  async drop(selector: string, path: string): Promise<void> {
    const target = this.page.locator(selector);
    await target.scrollIntoViewIfNeeded();
    const {x, y} = (await target.boundingBox())!;
    const session = await this.context.newCDPSession(this.page);
    const data = {items: [], files: [path], dragOperationsMask: 1};
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await session.send('Input.dispatchDragEvent', {type, x: x + 5, y: y + 5, data});
    }
  }

  /** The text of an element. */
  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).innerText()).trim();
  }

  /** Closes the notices, and says what was in them. */
  async takeNotices(): Promise<string> {
    const text = await this.text('#notices');
    const buttons = this.page.locator('#notices button');
    while ((await buttons.count()) > 0) await buttons.first().click();
    return text;
  }

  /** Writes with the likeliest tokens. @returns What the base and the active adapter wrote. */
  async write(prompt: string): Promise<{base: string; adapter: string}> {
    await this.phase('ready', 'paused');
    await this.page.fill('[name="prompt"]', prompt);
    await this.page.fill('[name="temperature"]', '0');
    await this.page.click('#sample button[type="submit"]');
    await this.phase('ready', 'paused');
    return {base: await this.text('#sample-base'), adapter: await this.text('#sample-adapter')};
  }
}
