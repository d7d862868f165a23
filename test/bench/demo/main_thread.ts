import type {Browser, Page} from 'playwright-core';

/** What ran on a page's main thread. */
export interface MainThread {
  tasks: number;
  /** The longest task by the clock, with what else the machine did meanwhile, and by the processor's time alone. */
  longestMs: number;
  longestCpuMs: number;
  /** Tasks that took the processor more than 50 ms, which is what browsers call long. */
  long: number;
  /** The processor's time, of all the time that was watched. */
  busy: number;
}

/** Of Chromium's trace events; times in µs. */
interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  dur?: number;
  tdur?: number;
  args?: {name?: string};
}

const LONG_MS = 50;

/** Watches the main thread of a page while `work` is done. */
export async function watchMainThread(
  browser: Browser,
  page: Page,
  work: () => Promise<void>,
): Promise<MainThread> {
  await browser.startTracing(page, {categories: ['disabled-by-default-devtools.timeline', '__metadata']});
  const start = performance.now();
  await work();
  const watchedMs = performance.now() - start;
  const {traceEvents} = JSON.parse((await browser.stopTracing()).toString()) as {traceEvents: TraceEvent[]};
  const threads = new Set(
    traceEvents
      .filter(({name, args}) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({pid, tid}) => `${pid} ${tid}`),
  );
  const tasks = traceEvents.filter(
    ({name, ph, pid, tid}) => name === 'RunTask' && ph === 'X' && threads.has(`${pid} ${tid}`),
  );
  if (tasks.length === 0) throw new Error('the trace has no task of a main thread');
  const most = (field: 'dur' | 'tdur') =>
    tasks.reduce((longest, task) => Math.max(longest, task[field] ?? 0), 0) / 1000;
  return {
    tasks: tasks.length,
    longestMs: most('dur'),
    longestCpuMs: most('tdur'),
    long: tasks.filter(({tdur = 0}) => tdur / 1000 > LONG_MS).length,
    busy: tasks.reduce((sum, {tdur = 0}) => sum + tdur, 0) / 1000 / watchedMs,
  };
}
