import {spawn} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {expect} from 'chai';
import {build} from 'esbuild';

const ROOT = resolve(import.meta.dirname, '../..');

/** What the child does next when it is killed, and the how manyth time. */
const MOMENTS: [string, number][] = [
  ['loss', 1], // before anything is done
  ['loss', 4], // after a step
  ['half', 1], // of the first checkpoint that there is
  ['renamed', 1],
  ['opened', 1],
  ['synced', 2],
  ['written', 1],
  ['step', 3],
  ['half', 2],
  ['eval', 1],
  ['refresh', 1],
  ['checkpoint', 2],
  ['resume', 1],
  ['loss', 3],
  ['renamed', 2],
  ['half', 3],
  ['eval', 2],
  ['opened', 2],
  ['synced', 3],
  ['step', 5],
];

describe('a run that is killed (SIGKILL)', () => {
  let folder: string;
  let program: string;

  before(async function () {
    if (process.platform === 'win32') this.skip(); // it has no signals
    mkdirSync(join(ROOT, '.cache'), {recursive: true});
    folder = mkdtempSync(join(ROOT, '.cache', 'kill_'));
    program = join(folder, 'child.mjs');
    // in one file it starts in a third of the time
    await build({
      entryPoints: [join(import.meta.dirname, 'kill_child.ts')],
      outfile: program,
      ...{bundle: true, platform: 'node', format: 'esm', logLevel: 'error'},
      banner: {
        js: "import {createRequire} from 'node:module'; const require = createRequire(import.meta.url);",
      },
      mainFields: ['module', 'main'],
      external: ['webgpu', '@tensorflow/tfjs-backend-webgpu', '@tensorflow/tfjs-backend-wasm'],
    });
  });

  after(() => {
    if (folder) rmSync(folder, {recursive: true, force: true});
  });

  /** Runs the child to its end, and gives the signal that ended it. */
  function child(run: string, moment = 'never', times = 1): Promise<NodeJS.Signals | null> {
    const args = [program, join(folder, run), join(folder, `${run}.log`), moment, String(times)];
    const started = spawn(process.execPath, args, {stdio: ['ignore', 'ignore', 'pipe']});
    let errors = '';
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    return new Promise((done, fail) => {
      started.on('error', fail);
      started.on('close', (code, signal) =>
        code === 0 || signal ? done(signal) : fail(new Error(`exit code ${code}: ${errors.slice(-2000)}`)),
      );
    });
  }

  const logOf = (run: string) =>
    readFileSync(join(folder, `${run}.log`), 'utf8')
      .trimEnd()
      .split('\n');

  it(`at ${MOMENTS.length} moments, and resumed, has the losses and weights of one that never was, bit for bit`, async () => {
    const [ended] = await Promise.all([
      child('whole'),
      (async () => {
        for (const [moment, times] of MOMENTS) {
          expect(await child('killed', moment, times), `${moment} ${times}`).to.equal('SIGKILL');
        }
        expect(await child('killed')).to.equal(null);
      })(),
    ]);
    expect(ended).to.equal(null);
    const [whole, killed] = [logOf('whole'), logOf('killed')];
    expect(killed.at(-1)).to.equal(whole.at(-1));
    expect(whole.at(-1)).to.match(/^done /);
    // some steps were taken several times, with the same loss each time
    expect(killed.length).to.be.above(whole.length);
    expect([...new Set(killed)].sort()).to.deep.equal([...new Set(whole)].sort());
    expect(readdirSync(join(folder, 'killed')).sort()).to.deep.equal([
      'checkpoint-0.safetensors',
      'checkpoint-1.safetensors',
    ]);
  });
});
