import type {Browser, BrowserContext, Page, Worker} from 'playwright-core';
import type {Event} from '../../../demos/browser/protocol.ts';
import type {Settings} from '../../../demos/browser/settings.ts';

declare global {
  interface Window {
    /** All that workers have told the page since it was loaded. */
    events: Event[];
    /** When, in ms since then. */
    times: number[];
    /** All that the page has been in since it was loaded. */
    phases: string[];
  }
}

/** A worker whose numbers are watched. */
interface Watched {
  _tfengine: {read(id: object): Promise<Float32Array>};
  reads: number[][];
}

/** SwiftShader takes long. */
const WAIT_MS = 100_000;

/** In a worker: keeps the device that it makes where a test reaches it. */
const KEEP_DEVICE = `{
  const {requestDevice} = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    return (self.device = await requestDevice.apply(this, args));
  };
}
`;

/** Runs on the page before its own scripts. */
function recordEvents(): void {
  window.events = [];
  window.times = [];
  window.phases = [];
  new MutationObserver(() => {
    const phase = document.body?.dataset.phase;
    if (phase !== undefined && phase !== window.phases.at(-1)) window.phases.push(phase);
  }).observe(document, {attributes: true, attributeFilter: ['data-phase'], childList: true, subtree: true});
  const {Worker: Stock} = window;
  window.Worker = class extends Stock {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      this.addEventListener('message', ({data}: MessageEvent<Event>) => {
        window.events.push(data);
        window.times.push(performance.now());
      });
    }
  };
}

/** The demo in a browser, as a person handles it. */
export class DemoPage {
  readonly page: Page;
  /** Phases that `phase` and `soon` have waited through. */
  private past = 0;
  private readonly context: BrowserContext;

  private constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
    page.on('domcontentloaded', () => {
      this.past = 0;
    });
  }

  /** @param prelude What workers run before their own code. */
  static async open(browser: Browser, url: string, prelude = ''): Promise<DemoPage> {
    // Chromium takes no locale of the system's here that charts understand
    const context = await browser.newContext({locale: 'en-US'});
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    await page.addInitScript(recordEvents);
    await context.route('**/assets/worker-*.js', async (route) => {
      const response = await route.fetch();
      await route.fulfill({response, body: `${KEEP_DEVICE}${prelude}${await response.text()}`});
    });
    await page.goto(url);
    return new DemoPage(context, page);
  }

  async close(): Promise<void> {
    // a worker may be on its way still
    await this.context.unrouteAll({behavior: 'ignoreErrors'});
    await this.context.close();
  }

  /** Waits until the page is in one of these phases. */
  async phase(...names: string[]): Promise<void> {
    const past = await this.page.waitForFunction(
      (all) => all.includes(document.body.dataset.phase!) && window.phases.length,
      names,
      {timeout: WAIT_MS},
    );
    this.past = Number(await past.jsonValue());
  }

  /** The same, without waiting for the sample that is written before. */
  async soon(name: 'ready' | 'paused'): Promise<void> {
    // it may be over before anybody looks
    await this.page.waitForFunction((past) => window.phases.slice(past).includes('sampling'), this.past, {
      timeout: WAIT_MS,
    });
    // on the page itself: it may be written meanwhile, and the button be disabled
    await this.page.evaluate(() => document.querySelector<HTMLElement>('#hush')!.click());
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
      const isChoice = (await control.evaluate(({tagName}) => tagName)) === 'SELECT';
      if (isChoice) await control.selectOption(String(value));
      else await (typeof value === 'boolean' ? control.setChecked(value) : control.fill(String(value)));
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

  /** The worker that computes. */
  get worker(): Worker {
    return this.page.workers().at(-1)!;
  }

  /** Waits for an error, and closes the notices. @returns What it said. */
  async error(): Promise<string> {
    const error = '#notices .error';
    await this.page.locator(error).waitFor({timeout: WAIT_MS});
    const text = await this.text(error); // one about the backend may stand beside it
    await this.takeNotices();
    return text;
  }

  /** Has the numbers kept, from now on, that are read back from the backend, so many at once. */
  async watchReads(length: number): Promise<void> {
    await this.worker.evaluate((size) => {
      const {_tfengine: engine} = globalThis as unknown as Watched;
      const {read} = engine;
      (globalThis as unknown as Watched).reads = [];
      engine.read = async (id) => {
        const values = await read.call(engine, id);
        if (values.length === size) (globalThis as unknown as Watched).reads.push([...values]);
        return values;
      };
    }, length);
  }

  /** What was read since. */
  reads(): Promise<number[][]> {
    return this.worker.evaluate(() => (globalThis as unknown as Watched).reads.splice(0));
  }

  /** Pixels of the page beside the window of a small phone. */
  async overflowOnPhone(): Promise<number> {
    await this.page.setViewportSize({width: 320, height: 700});
    // what is drawn follows in the next frames
    await this.page
      .waitForFunction(() => document.documentElement.scrollWidth <= innerWidth, null, {timeout: 5000})
      .catch(() => {});
    return await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
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
