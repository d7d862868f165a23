import 'mocha/mocha.js';

// to be imported before the tests of a page: it gives them describe and it

/** What became of a page's tests. */
export interface Outcome {
  passed: number;
  /** Titles. */
  skipped: string[];
  /** Titles with messages. */
  failures: string[];
  /** The texts of all shaders that were compiled. */
  shaders: string[];
}

const shaders: string[] = [];
const {createShaderModule} = GPUDevice.prototype;
GPUDevice.prototype.createShaderModule = function (descriptor) {
  shaders.push(descriptor.code);
  return createShaderModule.call(this, descriptor);
};

const outcome: Outcome = {passed: 0, skipped: [], failures: [], shaders};

class Reporter {
  constructor(runner: Mocha.Runner) {
    runner.on('pass', () => outcome.passed++);
    runner.on('pending', (test) => outcome.skipped.push(test.fullTitle()));
    runner.on('fail', (test, error) => outcome.failures.push(`${test.fullTitle()}: ${error.stack ?? error}`));
  }
}

mocha.setup({ui: 'bdd', reporter: Reporter as never, timeout: 120_000});

/** Runs the tests whose titles match. */
export const runTests = (titles: RegExp): Promise<Outcome> =>
  new Promise((resolve) => mocha.grep(titles).run(() => resolve(outcome)));
