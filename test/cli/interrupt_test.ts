import {spawn} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {setTimeout} from 'node:timers/promises';
import {expect} from 'chai';
import {withPartial} from '../../src/cli/partial.ts';
import {IndexServer} from './index_server.ts';
import {absence, Machine, tensorflowWheel} from './machine.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');

describe('Ctrl-C while tfjs-celora sets up', () => {
  const why = absence();
  if (why !== undefined) {
    it.skip(why);
    return;
  }

  it('leaves nothing behind', async () => {
    const machine = new Machine();
    const index = new IndexServer([tensorflowWheel()]);
    index.fault = 'stalled';
    await index.start();
    const args = ['setup', 'tensorflow', '--cpu', '--dir', machine.project, '--index-url', index.url];
    const child = spawn(process.execPath, [...process.execArgv, MAIN, ...args], {env: machine.host.env});
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (output += text));
    const ended = new Promise((done) => child.on('close', done));
    const partial = () => (existsSync(machine.cache) ? readdirSync(machine.cache) : []);
    while (partial().length === 0 && child.exitCode === null) await setTimeout(10);
    expect(partial().join()).to.match(/^tensorflow_cpu-.*\.whl\.partial-\d+$/);
    child.kill('SIGINT');
    const code = await ended;
    await index.stop();
    expect(output).to.match(/interrupted: nothing was changed\n$/);
    expect(code).to.equal(130);
    expect(readdirSync(machine.cache)).to.deep.equal([]);
    expect(readdirSync(machine.package)).to.have.members(['package.json', 'binding']);
    machine.remove();
  });
});

describe('withPartial', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'celora-partial-'));
  });
  after(() => rmSync(folder, {recursive: true}));

  it('removes what is left, also after an error', async () => {
    const work = async (partial: string) => {
      mkdirSync(partial);
      writeFileSync(join(partial, 'file'), '');
      throw new Error('no more');
    };
    let message = '';
    await withPartial(join(folder, 'deep/target'), work).catch((error: Error) => {
      message = error.message;
    });
    expect(message).to.equal('no more');
    expect(readdirSync(join(folder, 'deep'))).to.deep.equal([]);
  });

  it('removes what processes left that were killed, and not what others are at', async () => {
    const ended = spawn(process.execPath, ['--version']);
    await new Promise((done) => ended.on('close', done));
    const [dead, alive] = [ended.pid, process.ppid].map((pid) => join(folder, `target.partial-${pid}`));
    for (const path of [dead!, alive!]) writeFileSync(path, '');
    await withPartial(join(folder, 'target'), async () => {});
    expect(existsSync(dead!)).to.equal(false);
    expect(existsSync(alive!)).to.equal(true);
  });
});
