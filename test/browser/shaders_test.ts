import {readdirSync, readFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {fileURLToPath} from 'node:url';
import {expect} from 'chai';
import pLimit from 'p-limit';
import type {Browser} from 'playwright-core';
import * as sources from '../../src/kernels/webgpu/shaders.ts';
import {chromiumOrSkip, startChromium} from './chromium.ts';
import type {Outcome} from './mocha_page.ts';
import {bundle, type Scripts} from './pages.ts';
import {SLOW_TOO, skipSlow} from './slow.ts';

/** Slow ones first. The tests of layers and models are left to Node. */
const FOLDERS = ['gradients', 'kernels', 'kernels/webgpu', 'ops', 'train'];

/** The files whose tests run our shaders, most of them to compare what they compute with formulas in float64. */
const TESTS = FOLDERS.flatMap((folder) => {
  const directory = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
  return readdirSync(directory)
    .filter((name) => name.endsWith('_test.ts'))
    .filter((name) => /describe(WithShaders|Shaders|Own)\(/.test(readFileSync(`${directory}${name}`, 'utf8')))
    .map((name) => `${folder}/${name}`);
});

/** Each of them takes a core half a minute and more, to compile shaders of many forms: only npm run test:browser has them. */
const SLOW = [
  'gradients/causal_attention_grad_test.ts',
  'kernels/attention_tiles_test.ts',
  'kernels/webgpu/products_test.ts',
  'kernels/webgpu/tuning_test.ts',
  'ops/half_test.ts',
  'ops/lora_mat_mul_test.ts',
  'ops/low_rank_mat_mul_test.ts',
  'train/compile_test.ts',
];

/** A page's script that has the tests of a file ready to run. */
const script = (file: string) => `
  import {runTests} from './mocha_page.ts';
  import '../${file}';
  globalThis.run = () => runTests(/\\[webgpu, our shaders\\]/);
`;

/** Compiling shaders in software takes a core for each browser. */
const BROWSERS = Math.min(availableParallelism(), 4);

/** Runs the tests of the files, in their order, as many at a time as there are browsers. */
function runAll(
  browsers: readonly Browser[],
  scripts: Scripts,
  files: string[],
): Map<string, Promise<Outcome>> {
  const free = [...browsers];
  const run = async (file: string): Promise<Outcome> => {
    const browser = free.pop()!;
    const page = await scripts.open(browser, file);
    const outcome = await page.evaluate(() => (globalThis as unknown as {run(): Promise<Outcome>}).run());
    await page.close();
    free.push(browser);
    return outcome;
  };
  const limit = pLimit(browsers.length);
  const outcomes = new Map(files.map((file) => [file, limit(run, file)]));
  for (const outcome of outcomes.values()) outcome.catch(() => {}); // reported where it is awaited
  return outcomes;
}

const matches = (line: string, compiled: string): boolean => {
  if (!line.includes('NAME')) return line === compiled;
  const escaped = line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('NAME', '\\w+');
  return new RegExp(`^${escaped}$`).test(compiled);
};

/** The lines of a shader that are code. */
const linesOf = (source: string) =>
  source.split('\n').filter((line) => line.trim() !== '' && !line.trimStart().startsWith('//'));

describe('our shaders in Chromium', function () {
  this.timeout(600_000); // a page that waits for its turn waits within a test
  const browsers: Browser[] = [];
  const compiled = new Set<string>();
  let scripts: Scripts;
  let outcomes: Map<string, Promise<Outcome>> | undefined;

  before(async function () {
    browsers.push(await chromiumOrSkip(this));
    while (browsers.length < BROWSERS) browsers.push(await startChromium());
    scripts = await bundle(Object.fromEntries(TESTS.map((file) => [file, script(file)])));
  });

  after(() => Promise.all(browsers.map((browser) => browser.close())));

  const wanted = TESTS.filter((file) => SLOW_TOO || !SLOW.includes(file));
  for (const file of TESTS) {
    if (!wanted.includes(file)) {
      skipSlow(`test/${file}`);
      continue;
    }
    it(`test/${file}`, async function () {
      // from the first one on that mocha's grep lets through
      outcomes ??= runAll(browsers, scripts, wanted.slice(wanted.indexOf(file)));
      const {passed, skipped, failures, shaders} = await outcomes.get(file)!;
      this.test!.title += `: ${passed} passed, ${skipped.length} skipped`;
      expect(failures.join('\n')).to.equal('');
      expect(passed).to.be.greaterThan(0);
      for (const line of shaders.flatMap(linesOf)) compiled.add(line);
    });
  }

  it('compile, every line of every shader', function () {
    if (!SLOW_TOO) this.skip();
    const missing = Object.entries(sources).flatMap(([name, source]) =>
      linesOf(source)
        .filter((line) => ![...compiled].some((other) => matches(line, other)))
        .map((line) => `${name}: ${line}`),
    );
    expect(missing.join('\n')).to.equal('');
  });
});
