import {existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'chai';
import {BINDING, loadedVersion} from '../../src/cli/binding.ts';
import {type Fault, IndexServer} from './index_server.ts';
import {absence, Machine, tensorflowWheel} from './machine.ts';
import {type MadeWheel, wheelOf} from './wheels.ts';

describe('tfjs-celora setup tensorflow', () => {
  const why = absence();
  if (why !== undefined) {
    it.skip(why);
    return;
  }
  let cpu: MadeWheel;
  let index: IndexServer;
  let machine: Machine;

  const fromIndex = () => ({indexUrl: index.url});
  /** Nothing of an attempt is left. */
  const expectNothing = () => {
    expect(readdirSync(machine.package)).to.have.members(['package.json', 'binding']);
    expect(existsSync(machine.cache) ? readdirSync(machine.cache) : []).to.deep.equal([]);
  };

  before(async () => {
    cpu = tensorflowWheel();
    index = new IndexServer([cpu, tensorflowWheel({version: '2.19.1'})]);
    await index.start();
  });
  after(() => index.stop());
  beforeEach(() => {
    index.fault = undefined;
    index.requests.length = 0;
    machine = new Machine();
  });
  afterEach(() => machine.remove());

  it('takes the wheel of that version from an index, and compiles the binding', async () => {
    await machine.setUp(fromIndex());
    expect(await loadedVersion(machine.package, machine.host)).to.equal('2.20.0');
    expect(readdirSync(machine.package)).to.have.members(['package.json', 'binding', 'deps', 'lib']);
    expect(readlinkSync(join(machine.package, 'deps/lib/libtensorflow.so'))).to.equal(
      'libtensorflow_cc.so.2',
    );
    expect(machine.has('deps/include/tensorflow/c/c_api.h')).to.equal(true);
    expect(readdirSync(join(machine.package, 'deps'))).to.have.members([
      'lib',
      'include',
      'tfjs-celora.json',
    ]);
    expect(readdirSync(machine.cache)).to.deep.equal([cpu.file]);
    expect(machine.said.at(-1)).to.match(/^TensorFlow 2\.20\.0 \(cpu\) is set up in .*; the wheels stay in /);
  });

  it('does nothing if that is there, and mends what is gone from the cache', async () => {
    await machine.setUp(fromIndex());
    index.requests.length = 0;
    await machine.setUp(fromIndex());
    expect(machine.said.at(-1)).to.match(/already set up/);
    writeFileSync(join(machine.package, 'deps/lib/libtensorflow_framework.so.2'), 'torn');
    await machine.setUp();
    expect(await loadedVersion(machine.package, machine.host)).to.equal('2.20.0');
    expect(index.requests).to.deep.equal([]);
  });

  it('exchanges one version for another', async () => {
    await machine.setUp(fromIndex());
    await machine.setUp({...fromIndex(), version: '2.19.1'});
    expect(await loadedVersion(machine.package, machine.host)).to.equal('2.19.1');
  });

  it('takes wheels and a binding that are given, without a download or a compiler', async () => {
    await machine.setUp(fromIndex());
    const binding = machine.write('elsewhere.node', readFileSync(join(machine.package, BINDING)));
    const wheel = machine.write(cpu.file, cpu.bytes);
    index.requests.length = 0;
    machine.program('g++', 'exit 1');
    await machine.setUp({wheels: [wheel], binding});
    expect(index.requests).to.deep.equal([]);
    expect(machine.said.at(-1)).to.match(/is set up in/);
  });

  it('prefers pip, which is told the index', async () => {
    const wheel = machine.write(cpu.file, cpu.bytes);
    machine.program(
      'python3',
      `echo "$@" >> ${machine.root}/calls\nwhile [ $# -gt 1 ]; do [ "$1" = -d ] && cp ${wheel} "$2"; shift; done`,
    );
    await machine.setUp(fromIndex());
    const [, call] = readFileSync(join(machine.root, 'calls'), 'utf8').split('\n');
    expect(call)
      .to.match(/^-m pip download --no-deps .* tensorflow-cpu==2\.20\.0$/)
      .and.include(index.url);
    expect(index.requests).to.deep.equal([]);
    expect(readdirSync(machine.cache)).to.deep.equal([cpu.file]);
  });

  it('lays the libraries of NVIDIA beside, in the versions that the wheel asks for', async () => {
    const requires = (name: string, versions: string) =>
      `Requires-Dist: ${name}${versions}; extra == "and-cuda"\n`;
    const metadata = `${requires('nvidia-cudnn-cu12', '<10.0,>=9.3')}${requires('nvidia-nccl-cu12', '<3.0,>=2.25')}`;
    const library = 'nvidia/cudnn/lib/libcudnn.so.9';
    const cudnn = ['9.28.0.1', '9.9.0.5', '10.0.0.1', '9.2.0.1'].map((version) =>
      wheelOf('nvidia_cudnn_cu12', version, {
        [library]: Buffer.from(version),
        'nvidia/cudnn/include/cudnn.h': Buffer.alloc(0),
      }),
    );
    const gpu = new IndexServer([tensorflowWheel({name: 'tensorflow', metadata}), ...cudnn]);
    await gpu.start();
    await machine.setUp({build: 'gpu', indexUrl: gpu.url}).finally(() => gpu.stop());
    expect(readFileSync(join(machine.package, 'deps', library), 'utf8')).to.equal('9.28.0.1');
    expect(readdirSync(join(machine.package, 'deps/nvidia/cudnn'))).to.deep.equal(['lib']);
  });

  const FAULTS: Record<Fault, RegExp> = {
    hash: /has the SHA-256 \w{64}, and the index says \w{64}: it was not kept/,
    truncated: /^the download of tensorflow_cpu-2\.20\.0.* broke off after \d+ of \d+ bytes/,
    stalled: /^$/, // with Ctrl-C, below
    html: /does not list its files as JSON/,
    missing: /answers 404/,
  };
  for (const [fault, message] of Object.entries(FAULTS)) {
    if (fault === 'stalled') continue;
    it(`leaves nothing behind at a fault of the index: ${fault}`, async () => {
      index.fault = fault as Fault;
      expect(await machine.failure(fromIndex())).to.match(message);
      expectNothing();
    });
  }

  it('says so if the index or the proxy cannot be reached', async () => {
    const gone = new IndexServer([]);
    await gone.start();
    const {url} = gone;
    await gone.stop();
    expect(await machine.failure({indexUrl: url})).to.match(
      /^127\.0\.0\.1:\d+ cannot be reached: ECONNREFUSED\n.*--wheel/,
    );
    expectNothing();
  });

  it('says what pip says', async () => {
    machine.program(
      'python3',
      '[ "$3" = --version ] || { echo "ERROR: Cannot connect to proxy." >&2; exit 1; }',
    );
    const message = await machine.failure();
    expect(message).to.match(
      /^pip could not download tensorflow-cpu==2\.20\.0:\nERROR: Cannot connect to proxy\.\n/,
    );
    expectNothing();
  });

  it('says where wheels can come from, if there is neither pip nor an index', async () => {
    expect(await machine.failure()).to.match(
      /no pip to download tensorflow-cpu.*\n.*--index-url URL or --wheel FILE/,
    );
  });

  it('keeps what is set up if the next attempt fails', async () => {
    await machine.setUp(fromIndex());
    const damaged = tensorflowWheel({version: '2.21.0', damaged: 'tensorflow/libtensorflow_framework.so.2'});
    const wheels = [machine.write(damaged.file, damaged.bytes)];
    expect(await machine.failure({version: '2.21.0', wheels})).to.match(
      /is damaged: .*libtensorflow_framework/,
    );
    expect(await loadedVersion(machine.package, machine.host)).to.equal('2.20.0');
    expect(readdirSync(machine.package)).to.have.members(['package.json', 'binding', 'deps', 'lib']);
  });

  it('refuses a library of the wrong version, in the name of its wheel or in itself', async () => {
    const old = tensorflowWheel({version: '2.9.1'});
    const wheels = [machine.write(old.file, old.bytes)];
    expect(await machine.failure({wheels})).to.match(/is version 2\.9\.1, and ==2\.20\.0 is needed/);
    expect(await machine.failure({wheels, version: '2.9.1'})).to.match(
      /works with TensorFlow >=2\.18,<2\.22/,
    );
    const lying = tensorflowWheel({says: '2.9.1'});
    const given = [machine.write(lying.file, lying.bytes)];
    expect(await machine.failure({wheels: given})).to.match(
      /says that it is TensorFlow 2\.9\.1, not 2\.20\.0/,
    );
    expectNothing();
  });

  it('refuses wheels that are of no use', async () => {
    const other = wheelOf('numpy', '2.0.0', {});
    const arm = wheelOf('tensorflow_cpu', '2.20.0', {}, {platform: 'manylinux_2_17_aarch64'});
    const newer = wheelOf('tensorflow_cpu', '2.20.0', {}, {platform: 'manylinux_2_99_x86_64'});
    const files = [cpu, other, arm, newer].map(({file, bytes}) => machine.write(file, bytes)) as string[];
    const [good, unneeded, foreign, tooNew] = files as [string, string, string, string];
    expect(await machine.failure({wheels: [good, unneeded]})).to.match(/numpy-.*is not needed/);
    expect(await machine.failure({wheels: [foreign]})).to.match(/is no wheel for Linux on x64/);
    expect(await machine.failure({wheels: [tooNew]})).to.match(/is no wheel for Linux on x64/);
    expect(await machine.failure({wheels: ['/none.whl']})).to.match(/there is no file \/none\.whl/);
    const torn = machine.write(`torn/${cpu.file}`, cpu.bytes.subarray(0, 1000));
    expect(await machine.failure({wheels: [torn]})).to.match(/cannot be read as a wheel/);
    expectNothing();
  });

  it('says what to install where there is no compiler, before any download', async () => {
    for (const name of ['g++', 'clang++', 'c++']) machine.program(name, 'exit 1');
    const message = await machine.failure(fromIndex());
    expect(message).to.match(
      /^there is no C\+\+ compiler \(g\+\+, clang\+\+, c\+\+\).*\napt-get install g\+\+/,
    );
    expect(index.requests).to.deep.equal([]);
    expectNothing();
  });

  it('says how much space is missing, before any download', async () => {
    const space = async () => ({device: 1, free: 0.5e9});
    expect(await machine.failure(fromIndex(), {space})).to.match(
      /1\.0 GB are needed in .*, and 0\.5 GB are free/,
    );
    expect(index.requests).to.deep.equal([]);
    let calls = 0;
    const shrinking = async () => ({device: calls++, free: calls > 2 ? 1000 : 1e12});
    expect(await machine.failure(fromIndex(), {space: shrinking})).to.match(/0\.0 GB are free/);
    expect(readdirSync(machine.package)).to.have.members(['package.json', 'binding']);
  });

  it('says what works on other platforms', async () => {
    const elsewhere = [
      [{platform: 'darwin', arch: 'arm64'}, 'macOS on arm64'],
      [{platform: 'win32', arch: 'x64'}, 'Windows on x64'],
      [{platform: 'linux', arch: 'arm64'}, 'Linux on arm64'],
    ] as const;
    for (const [host, name] of elsewhere) {
      const message = await machine.failure(fromIndex(), host);
      expect(message).to.equal(
        `backend tensorflow needs Linux on x64, and this is ${name}\n` +
          "what works here instead: chooseBackend('webgpu'), on the GPU, or chooseBackend('wasm')",
      );
    }
    expect(await machine.failure(fromIndex(), {glibc: undefined})).to.match(/need the GNU C library/);
    expect(index.requests).to.deep.equal([]);
  });

  it('refuses two copies of tfjs-core', async () => {
    machine.write(
      'node_modules/@tensorflow/tfjs-node-gpu/node_modules/@tensorflow/tfjs-core/package.json',
      '{"version": "4.21.0"}',
    );
    expect(await machine.failure(fromIndex())).to.match(
      /^there are 2 copies of @tensorflow\/tfjs-core.*: 4\.22\.0 in .*, 4\.21\.0 in .*\nnpm install .* && npm dedupe$/,
    );
    expect(index.requests).to.deep.equal([]);
  });
});
