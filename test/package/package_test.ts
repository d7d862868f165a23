import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {builtinModules} from 'node:module';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import vm from 'node:vm';
import {expect} from 'chai';
import {build, type Metafile} from 'esbuild';
import {run, runNode, runTsc} from '../support/command.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** Of the command tfjs-celora; the library itself imports none of them. */
const DEPENDENCIES = ['cli-progress', 'yauzl'];

/** A program of a user: trains for some steps, and says what it saw through `report`. */
const program = (report: string, fail: string) => `
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import '@tensorflow/tfjs-backend-cpu';
import {applyCELoRA, celoraDense, mergeCELoRA, registerCELoRAGradients} from 'tfjs-celora';

async function main() {
  await tf.setBackend('cpu');
  const model = tfl.sequential();
  model.add(tfl.layers.dense({units: 48, inputShape: [32], activation: 'tanh', name: 'hidden'}));
  model.add(celoraDense({units: 1, rank: 1, keep: 1, trainBase: true, name: 'head'}));
  applyCELoRA(model, {target: 'hidden', rank: 4, keep: 0.5, frozenRank: 2});
  model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
  const x = tf.randomNormal([16, 32], 0, 1, 'float32', 1);
  const {history} = await model.fit(x, tf.ones([16, 1]), {epochs: 20, verbose: 0});
  mergeCELoRA(model);
  registerCELoRAGradients({keep: 0.5}).dispose();
  ${report}({losses: history.loss, layers: model.layers.map((layer) => layer.getClassName())});
}
main().catch(${fail});
`;

function expectTrained({losses, layers}: {losses: number[]; layers: string[]}): void {
  expect(losses).to.have.length(20);
  expect(losses.at(-1)).to.be.below(0.5 * losses[0]!);
  expect(layers).to.deep.equal(['Dense', 'Dense']);
}

const TYPED = `
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {applyCELoRA, type CELoRAConfig, type CELoRADense, celoraDense, estimateCost} from 'tfjs-celora';

const config: Partial<CELoRAConfig> = {rank: 8, keep: 0.5};
const layer: CELoRADense = celoraDense({units: 4, inputShape: [8], ...config});
const model: tfl.LayersModel = tfl.sequential({layers: [layer as tfl.layers.Layer]});
applyCELoRA(model, {target: /head/, overrides: [], ...config});
const cost: string = estimateCost(model, 16).toString();
const y: tf.Tensor | tf.Tensor[] = model.predict(tf.ones([1, 8]));
export {cost, y};

// @ts-expect-error the option is a number
celoraDense({units: 4, keep: '0.5'});
// @ts-expect-error there is no such option
celoraDense({units: 4, kept: 0.5});
`;

const TYPED_NODE = `
import {type ChosenBackend, chooseBackend, setUpWebGPU} from 'tfjs-celora/node';

export const chosen: ChosenBackend = await chooseBackend();
export const vendor: string = (await setUpWebGPU({allowSoftware: true})).vendor;
// @ts-expect-error the option is a boolean
await setUpWebGPU({allowSoftware: 'yes'});
`;

const TYPED_WEBGPU = `
import {useCELoRAWebGPU} from 'tfjs-celora/webgpu';

export const features: string[] = (await useCELoRAWebGPU({features: ['subgroups']})).features;
`;

const COMPILER = {target: 'es2022', strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: []};

describe('the packed package', () => {
  let packed: string[];
  let project: string;
  const write = (name: string, text: string) => writeFileSync(join(project, name), text);
  const bundle = async (options: object) => {
    const {outputFiles, metafile} = await build({
      absWorkingDir: project,
      bundle: true,
      write: false,
      metafile: true,
      logLevel: 'silent',
      ...options,
    });
    return {code: outputFiles![0]!.text, metafile: metafile as Metafile};
  };

  before(async () => {
    project = mkdtempSync(join(tmpdir(), 'celora-package-'));
    const [tarball] = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', project], ROOT));
    packed = tarball.files.map(({path}: {path: string}) => path);
    write('package.json', '{"type": "module", "private": true}');
    // what it needs comes from this project's packages, so that this needs no registry
    await run('tar', ['-xzf', tarball.filename], project);
    mkdirSync(join(project, 'node_modules'));
    renameSync(join(project, 'package'), join(project, 'node_modules/tfjs-celora'));
    for (const name of ['@tensorflow', 'webgpu', 'typescript', '@typescript', ...DEPENDENCIES]) {
      symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name), 'junction');
    }
  });

  after(() => rmSync(project, {recursive: true, force: true}));

  it('holds the built code, its types and sources, our TensorFlow ops, and nothing else', () => {
    const required = ['index', 'node', 'webgpu'].flatMap((name) => [
      `dist/${name}.js`,
      `dist/${name}.d.ts`,
      `src/${name}.ts`,
    ]);
    expect(packed).to.include.members(['package.json', 'LICENSE', 'README.md', 'CHANGELOG.md', ...required]);
    const others = packed.filter((path) => !/^(dist|src)\//.test(path));
    // publishing builds it, which needs a C++ compiler; a test that packs does not
    const native = existsSync(join(ROOT, 'native')) ? ['native/celora_ops.node'] : [];
    expect(others).to.have.members(['package.json', 'LICENSE', 'README.md', 'CHANGELOG.md', ...native]);
    const kinds = new Set(
      packed.map((path) => path.replace(/^(dist|src)\/.*?(?=(\.d)?\.[a-z]+(\.map)?$)/, '$1 ')),
    );
    expect([...kinds].filter((kind) => / /.test(kind))).to.have.members([
      'dist .js',
      'dist .js.map',
      'dist .d.ts',
      'dist .d.ts.map',
      'src .ts',
    ]);
    expect(packed.filter((path) => /test|demo|bench/i.test(path))).to.deep.equal([]);
  });

  it('was built from the sources there are', () => {
    const sources = readdirSync(join(ROOT, 'src'), {recursive: true, encoding: 'utf8'});
    const built = packed.filter((path) => /^dist\/.*\.js$/.test(path)).map((path) => path.slice(5, -3));
    const modules = sources.filter((path) => path.endsWith('.ts')).map((path) => path.slice(0, -3));
    expect(built).to.have.members(modules.map((path) => path.replaceAll('\\', '/')));
  });

  it('depends on no package but those of its command', () => {
    const {dependencies} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(Object.keys(dependencies)).to.have.members(DEPENDENCIES);
    const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
    expect(lock).to.not.match(/"node_modules\/@tensorflow\/tfjs-node/);
  });

  it('has a command', async () => {
    const main = 'node_modules/tfjs-celora/dist/cli/main.js';
    expect(readFileSync(join(project, main), 'utf8')).to.match(/^#!\/usr\/bin\/env node\n/);
    const report = await run(process.execPath, [main, 'doctor', '--backend', 'cpu', '--json'], project);
    expect(JSON.parse(report)).to.nested.include({ok: true, 'backends.cpu.works': true});
  });

  it('works as an ES module in Node', async () => {
    write(
      'main.mjs',
      program('((result) => console.log(JSON.stringify(result)))', '((error) => console.error(error))'),
    );
    const output = await runNode('main.mjs', project);
    expectTrained(JSON.parse(output.trim().split('\n').at(-1)!));
  });

  it('chooses a backend in Node', async () => {
    write(
      'backend.mjs',
      "import {chooseBackend} from 'tfjs-celora/node';\nconsole.log(JSON.stringify(await chooseBackend('wasm')));",
    );
    expect(JSON.parse(await runNode('backend.mjs', project))).to.include({backend: 'wasm', reason: ''});
  });

  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    it(`has types for strict TypeScript, moduleResolution ${moduleResolution}`, async () => {
      write('consumer.ts', TYPED);
      write('consumer_node.ts', TYPED_NODE);
      write('consumer_webgpu.ts', TYPED_WEBGPU);
      const files = [
        'consumer.ts',
        ...(module === 'nodenext' ? ['consumer_node.ts', 'consumer_webgpu.ts'] : []),
      ];
      const options = {...COMPILER, module, moduleResolution};
      // tfjs-core's own types want those of WebGPU in an old version
      write('tsconfig.json', JSON.stringify({compilerOptions: {...options, skipLibCheck: true}, files}));
      await runTsc('tsconfig.json', project);
      write('tsconfig.all.json', JSON.stringify({compilerOptions: options, files}));
      const complaints = await runTsc('tsconfig.all.json', project).catch((error: Error) => error.message);
      expect(complaints).to.not.match(/tfjs-celora|consumer/);
    });
  }

  it('reaches nothing but tfjs from its main module', async () => {
    const entryPoints = [join(project, 'node_modules/tfjs-celora/dist/index.js')];
    const {metafile} = await bundle({entryPoints, packages: 'external', platform: 'neutral', format: 'esm'});
    const external = Object.values(metafile.outputs).flatMap(({imports}) => imports.map(({path}) => path));
    expect([...new Set(external)]).to.have.members(['@tensorflow/tfjs-core', '@tensorflow/tfjs-layers']);
  });

  it('starts WebGPU for a browser without anything of Node', async () => {
    const entryPoints = [join(project, 'node_modules/tfjs-celora/dist/webgpu.js')];
    const {metafile} = await bundle({entryPoints, packages: 'external', platform: 'neutral', format: 'esm'});
    const external = Object.values(metafile.outputs).flatMap(({imports}) => imports.map(({path}) => path));
    const allowed = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-webgpu'];
    expect([...new Set(external)]).to.have.members(allowed);
  });

  it('can be bundled for a browser, and then runs without Node', async () => {
    write('main.js', program('report', 'fail'));
    const {code, metafile} = await bundle({entryPoints: ['main.js'], platform: 'browser', format: 'esm'});
    expect(Object.values(metafile.outputs).flatMap(({imports}) => imports)).to.deep.equal([]);
    const builtin = new RegExp(`\\b(from|import)\\s*\\(?["'](node:|(${builtinModules.join('|')})["'])`);
    expect(code).to.not.match(builtin);
    const inputs = Object.keys(metafile.inputs);
    expect(
      inputs.filter((path) =>
        /tfjs-node|backend-webgpu|node_modules\/webgpu\/|celora\/dist\/(node|backends)/.test(path),
      ),
    ).to.deep.equal([]);
    const result = new Promise((report, fail) => {
      const clock = {performance, setTimeout, clearTimeout};
      const browser: vm.Context = {report, fail, console, ...clock, TextEncoder, TextDecoder};
      Object.assign(browser, {window: browser, document: {}, navigator: {userAgent: ''}});
      browser.addEventListener = () => {}; // tfjs listens for messages
      vm.runInNewContext(code, browser);
    });
    expectTrained((await result) as {losses: number[]; layers: string[]});
  });
});
