import {mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'chai';
import {loadedVersion} from '../../src/cli/binding.ts';
import {IndexServer} from './index_server.ts';
import {absence, Machine, tensorflowWheel} from './machine.ts';

describe('tfjs-celora setup tensorflow in a project without tfjs-node-gpu', () => {
  const why = absence();
  if (why !== undefined) {
    it.skip(why);
    return;
  }
  let index: IndexServer;
  let machine: Machine;
  const fromIndex = () => ({indexUrl: index.url});

  before(async () => {
    index = new IndexServer([tensorflowWheel()]);
    await index.start();
  });
  after(() => index.stop());
  afterEach(() => machine.remove());

  let project: string;
  let scope: string;
  const calls = () => readFileSync(join(machine.root, 'calls'), 'utf8').trim().split('\n');

  beforeEach(() => {
    machine = new Machine();
    project = join(machine.project, '.cache/tensorflow');
    scope = join(project, 'node_modules/@tensorflow');
    renameSync(machine.package, join(machine.root, 'package'));
    const make = (name: string) => `mkdir ${name}; echo '{"version": "4.22.0"}' > ${name}/package.json`;
    machine.program(
      'npm',
      [
        `echo "$3 $4 $5 $6" >> ${machine.root}/calls`,
        '[ "$3" = install ] || exit 0',
        `mkdir -p ${scope}; cd ${scope}; cp -r ${machine.root}/package tfjs-node-gpu`,
        make('tfjs-core'),
        make('tfjs-layers'),
      ].join('\n'),
    );
  });

  it('installs it without its script, and leaves to the project around what that has of tfjs', async () => {
    await machine.setUp({...fromIndex(), project});
    expect(calls()).to.deep.equal([
      'install --save-optional --ignore-scripts @tensorflow/tfjs-node-gpu@4.22.0',
    ]);
    expect(await loadedVersion(join(scope, 'tfjs-node-gpu'), machine.host)).to.equal('2.20.0');
    expect(readdirSync(scope)).to.have.members(['tfjs-node-gpu', 'tfjs-layers']);
  });

  it('takes it out again if the set-up fails', async () => {
    machine.program('c++', '[ "$1" = --version ] || { echo "no <string>" >&2; exit 1; }');
    machine.host.env.CXX = 'c++';
    expect(await machine.failure({...fromIndex(), project})).to.match(
      /^c\+\+ cannot compile tfjs's binding:\nno <string>\n/,
    );
    expect(calls()[1]).to.match(/^uninstall --ignore-scripts @tensorflow\/tfjs-node-gpu/);
    expect(readdirSync(join(scope, 'tfjs-node-gpu'))).to.have.members(['package.json', 'binding']);
  });

  it('leaves installing to the package manager of the project, where that is not npm', async () => {
    mkdirSync(join(machine.root, 'pnpm'));
    writeFileSync(join(machine.root, 'pnpm/pnpm-lock.yaml'), '');
    expect(await machine.failure({...fromIndex(), project: join(machine.root, 'pnpm')})).to.match(
      /\npnpm add -O --ignore-scripts @tensorflow\/tfjs-node-gpu@4\.22\.0, and then this again$/,
    );
  });

  it('says what npm says, and leaves nothing behind', async () => {
    machine.program('npm', 'echo "npm error code ECONNREFUSED" >&2; exit 1');
    const project = join(machine.root, 'fresh');
    expect(await machine.failure({...fromIndex(), project})).to.match(
      /^npm install .* failed:\nnpm error code ECONN/,
    );
    expect(readdirSync(project)).to.deep.equal([]);
  });
});
