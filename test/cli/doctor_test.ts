import {spawnSync} from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {delimiter, dirname, join, resolve} from 'node:path';
import {expect} from 'chai';
import type {BackendName} from '../../src/backends/choose_backend.ts';
import {examine} from '../../src/cli/doctor.ts';
import type {Host} from '../../src/cli/host.ts';
import {type Probe, type Report, reportText} from '../../src/cli/report.ts';
import {fallsBack, inspect, tensorflowProblems} from '../../src/cli/tensorflow_check.ts';
import {CUDA_LIBRARIES} from '../../src/cli/tensorflow_files.ts';
import {describeBackends} from '../backends.ts';
import {absence, Machine, tensorflowWheel} from './machine.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** Runs the command as a user does, who may find packages elsewhere. */
function doctorWith(nodePath: string, ...args: string[]): {code: number | null; report: Report} {
  const main = join(ROOT, 'src/cli/main.ts');
  const {status, stdout, stderr} = spawnSync(
    process.execPath,
    [...process.execArgv, main, 'doctor', '--json', ...args],
    {encoding: 'utf8', cwd: ROOT, env: {...process.env, NODE_PATH: nodePath}},
  );
  expect(stdout, stderr).to.match(/^\{/);
  return {code: status, report: JSON.parse(stdout)};
}

const NODE_PATH = process.env.NODE_PATH ?? '';
const doctor = (...args: string[]) => doctorWith(NODE_PATH, ...args);

describe('tfjs-celora doctor where there is nothing', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'celora-nothing-'));
  });
  after(() => rmSync(folder, {recursive: true}));

  it('says what to install, and that alone, whatever is wanted', () => {
    for (const backend of absence() === undefined ? ['wasm', 'tensorflow'] : ['wasm']) {
      const {code, report} = doctorWith('', '--dir', folder, '--backend', backend);
      expect(code).to.equal(1);
      expect(report.problems.map(({mend}) => mend.split(' ').slice(0, 2).join(' '))).to.deep.equal([
        'npm install',
      ]);
    }
  });

  it('says what to install, and fails', () => {
    const {code, report} = doctorWith('', '--dir', folder);
    expect(code).to.equal(1);
    expect(report.ok).to.equal(false);
    expect(report.packages).to.deep.equal({});
    const packages = ['tfjs-celora', '@tensorflow/tfjs-core', '@tensorflow/tfjs-layers'];
    expect(report.problems[0]).to.deep.equal({
      problem: `not installed: ${packages.join(', ')}`,
      mend: `npm install ${packages.join(' ')}`,
    });
    for (const probe of Object.values(report.backends)) {
      expect(probe).to.deep.equal({works: false, reason: `tfjs-celora is not installed in ${folder}`});
    }
    expect(reportText(report)).to.match(/\n {2}wasm +does not work: .*\n[\s\S]*\nproblem: not installed: /);
  });
});

describeBackends('tfjs-celora doctor', (backend) => {
  if (backend !== 'cpu' && backend !== 'tensorflow') return; // each run of it tries them all

  it('says that it works, and on what', () => {
    const {code, report} = doctor('--backend', backend);
    expect(report.backends[backend as BackendName]).to.include({works: true});
    expect(report).to.include({ok: true, wanted: backend, project: ROOT});
    expect(report.problems).to.deep.equal([]);
    expect(code).to.equal(0);
    if (backend === 'tensorflow') expect(report.tensorflow).to.deep.include({version: '2.20.0', missing: []});
  });

  if (backend !== 'tensorflow') return;

  it('says that a library was removed, which one, and the command that mends it', () => {
    const set = doctor('--backend', backend).report.tensorflow!.folder;
    const folder = mkdtempSync(join(tmpdir(), 'celora-removed-'));
    try {
      const copy = join(folder, '@tensorflow/tfjs-node-gpu');
      for (const part of ['package.json', 'dist', 'lib', 'deps/tfjs-celora.json']) {
        cpSync(join(set, part), join(copy, part), {recursive: true});
      }
      symlinkSync(join(set, 'deps/include'), join(copy, 'deps/include'));
      mkdirSync(join(copy, 'deps/lib'));
      const gone = 'libtensorflow_framework.so.2';
      for (const file of readdirSync(join(set, 'deps/lib'))) {
        if (file !== gone) symlinkSync(join(set, 'deps/lib', file), join(copy, 'deps/lib', file));
      }
      const {code, report} = doctorWith([folder, NODE_PATH].join(delimiter), '--backend', backend);
      expect(code).to.equal(1);
      expect(report.ok).to.equal(false);
      expect(report.tensorflow).to.deep.include({folder: copy, missing: [`lib/${gone}`]});
      expect(report.backends.tensorflow).to.include({works: false});
      expect(report.problems).to.deep.include({
        problem: `missing in ${copy}: lib/${gone}`,
        mend: 'npx tfjs-celora setup tensorflow --cpu',
      });
    } finally {
      rmSync(folder, {recursive: true});
    }
  });
});

describe('tfjs-celora doctor on TensorFlow', () => {
  const why = absence();
  if (why !== undefined) {
    it.skip(why);
    return;
  }
  const gpu = {name: 'NVIDIA H200', driver: '580.159.04'};
  const works: Probe = {works: true, device: 'TensorFlow', onGPU: false};
  const broken = {works: false, reason: 'TensorFlow for Node does not load'} as const;
  const setup = 'npx tfjs-celora setup tensorflow';
  let machine: Machine;
  let host: Host;
  let wheel: string;

  before(() => {
    machine = new Machine();
    machine.program('ldconfig', 'exit 0');
    host = {...machine.host, env: {...machine.host.env, LD_LIBRARY_PATH: ''}};
    const {file, bytes} = tensorflowWheel();
    wheel = machine.write(file, bytes);
  });
  beforeEach(() => machine.setUp({wheels: [wheel]}));
  after(() => machine.remove());

  /** What there is, with changes to it. */
  interface Changes {
    build?: 'gpu';
    missing?: string[];
    found?: typeof gpu | null;
  }
  const check = async (probe: Probe, {found = gpu, ...changes}: Changes = {}) => {
    const tensorflow = await inspect({folder: machine.package, version: '4.22.0'}, found ?? undefined, host);
    const state = {tensorflow: {...tensorflow, ...changes}, gpu: found ?? undefined, probe};
    return {
      ...state,
      silent: fallsBack(state),
      problems: tensorflowProblems({...state, host, wanted: true, setup}),
    };
  };

  it('finds nothing wrong with the build for the CPU where there is no GPU', async () => {
    const {tensorflow, problems, silent} = await check(works, {found: null});
    expect(tensorflow).to.deep.equal({folder: machine.package, version: '2.20.0', build: 'cpu', missing: []});
    expect(problems).to.deep.equal([]);
    expect(silent).to.equal(false);
  });

  it('says that it cannot use the GPU there is', async () => {
    const {problems, silent} = await check(works);
    expect(problems).to.deep.equal([
      {problem: "TensorFlow's build for the CPU cannot use the GPU", mend: `${setup} --gpu`},
    ]);
    expect(silent).to.equal(false);
  });

  it('reports that the build for the GPU falls back to the CPU, and why that may be', async () => {
    const problem = 'TensorFlow computes on the CPU in silence, in spite of the GPU';
    const gone = await check(works, {build: 'gpu', missing: ['nvidia/cudnn/lib/libcudnn.so.9']});
    expect(gone.silent).to.equal(true);
    expect(gone.problems[0]!.problem).to.match(/^missing in .*: nvidia\/cudnn\/lib\/libcudnn\.so\.9$/);
    expect(gone.problems[1]).to.deep.equal({problem, mend: `${setup} --gpu`});
    const complete = await check(works, {build: 'gpu'});
    expect(complete.problems).to.have.length(1);
    expect(complete.problems[0]!.mend).to.match(/^make the driver's libcuda\.so\.1 visible/);
    host.env.CUDA_VISIBLE_DEVICES = '-1';
    const hidden = await check(works, {build: 'gpu'});
    Reflect.deleteProperty(host.env, 'CUDA_VISIBLE_DEVICES');
    expect(hidden.problems[0]!.mend).to.equal("unset CUDA_VISIBLE_DEVICES, which is '-1'");
    expect((await check({...works, onGPU: true}, {build: 'gpu'})).problems).to.deep.equal([]);
  });

  it('says that the driver is too old', async () => {
    const {problems} = await check(
      {...works, onGPU: true},
      {build: 'gpu', found: {...gpu, driver: '470.57.02'}},
    );
    expect(problems.map(({problem}) => problem)).to.deep.equal([
      'CUDA 12 needs a driver 525.60.13 or newer, and this is 470.57.02',
    ]);
  });

  it('names the library that was removed, and the command that mends it', async () => {
    rmSync(join(machine.package, 'deps/lib/libtensorflow_framework.so.2'));
    const {tensorflow, problems} = await check(broken, {found: null});
    expect(tensorflow.missing).to.deep.equal(['lib/libtensorflow_framework.so.2']);
    expect(problems).to.deep.equal([
      {
        problem: `missing in ${machine.package}: lib/libtensorflow_framework.so.2`,
        mend: `${setup} --cpu`,
      },
    ]);
    const report = await examine({project: machine.project, wanted: 'tensorflow', host});
    expect(report.ok).to.equal(false);
    expect(report.problems).to.deep.include({
      problem: problems[0]!.problem,
      mend: `${setup} --dir ${machine.project} --cpu`,
    });
  });

  it('names libraries of CUDA that TensorFlow would not find', async () => {
    const installed = join(machine.package, 'deps/tfjs-celora.json');
    writeFileSync(installed, readFileSync(installed, 'utf8').replace('"cpu"', '"gpu"'));
    for (const {file, folder} of CUDA_LIBRARIES) {
      const path = `node_modules/@tensorflow/tfjs-node-gpu/deps/nvidia/${folder}/lib/${file}`;
      if (folder !== 'cudnn') machine.write(path, '');
    }
    const {tensorflow, problems} = await check(works);
    expect(tensorflow.missing).to.deep.equal(['libcudnn.so.9']);
    expect(problems[0]!.problem).to.equal(`missing in ${machine.package}: libcudnn.so.9`);
    const elsewhere = machine.write('cuda/libcudnn.so.9', '');
    host.env.LD_LIBRARY_PATH = dirname(elsewhere);
    expect((await check(works)).tensorflow.missing).to.deep.equal([]);
    host.env.LD_LIBRARY_PATH = '';
    machine.program('ldconfig', 'printf "\\tlibcudnn.so.9 (libc6,x86-64) => /lib/libcudnn.so.9\\n"');
    expect((await check(works)).tensorflow.missing).to.deep.equal([]);
  });

  it('looks for them where the loader does, if the folder of libraries is a link', async () => {
    const libraries = join(machine.package, 'deps/lib');
    const elsewhere = join(machine.root, 'tensorflow/lib');
    mkdirSync(dirname(elsewhere));
    renameSync(libraries, elsewhere);
    symlinkSync(elsewhere, libraries);
    rmSync(join(machine.package, 'deps/tfjs-celora.json'));
    machine.program('ldconfig', 'exit 0');
    for (const {file, folder} of CUDA_LIBRARIES) {
      if (folder === 'cublas') continue;
      mkdirSync(join(machine.root, `tensorflow/nvidia/${folder}/lib`), {recursive: true});
      writeFileSync(join(machine.root, `tensorflow/nvidia/${folder}/lib/${file}`), '');
    }
    expect((await check(works)).tensorflow.missing).to.deep.equal(['libcublas.so.12', 'libcublasLt.so.12']);
  });

  it('names them also where the libraries came another way', async () => {
    rmSync(join(machine.package, 'deps/tfjs-celora.json'));
    machine.program('ldconfig', 'exit 0');
    const {tensorflow, silent, problems} = await check(works);
    expect(tensorflow.missing).to.deep.equal(CUDA_LIBRARIES.map(({file}) => file));
    expect(silent).to.equal(true);
    expect(problems[0]!.problem).to.equal(`missing in ${machine.package}: ${tensorflow.missing.join(', ')}`);
    expect(problems[0]!.mend).to.equal(`${setup} --gpu`);
  });

  it('says what works on other platforms, if it is wanted there', () => {
    const elsewhere = {
      tensorflow: undefined,
      gpu: undefined,
      probe: broken,
      host: {...host, platform: 'darwin'},
      setup,
    };
    expect(tensorflowProblems({...elsewhere, wanted: true})[0]!.mend).to.match(/^what works here instead/);
    expect(tensorflowProblems({...elsewhere, wanted: false})).to.deep.equal([]);
  });

  it('says how to get it, if it is wanted', () => {
    const without = {tensorflow: undefined, gpu, probe: broken, host, setup};
    expect(tensorflowProblems({...without, wanted: true})).to.deep.equal([
      {problem: broken.reason, mend: `${setup} --gpu`},
    ]);
    expect(tensorflowProblems({...without, wanted: false})).to.deep.equal([]);
  });

  it('says nothing of it where it could not be tried', async () => {
    const {tensorflow} = await check(works, {found: null});
    const untried = {tensorflow, gpu: undefined, probe: undefined, host, setup, wanted: true};
    expect(tensorflowProblems(untried)).to.deep.equal([]);
    expect(fallsBack({...untried, gpu})).to.equal(false);
  });
});
