import {cpus, platform, release} from 'node:os';
import {parseArgs} from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import {type Base, resolveConfig} from '../../src/index.ts';
import {setUpWebGPU} from '../../src/node.ts';
import {ADAPTERS} from '../browser/chromium.ts';
import {offerSwiftShader} from '../support/swiftshader.ts';
import {startBackend} from './backend.ts';
import {jsonFile} from './json_file.ts';
import type {Suite, SuiteOptions} from './suite.ts';

/** Loaded one by one: of a machine that measures one, what the others need is not asked. */
const SUITES: Record<string, () => Promise<Suite>> = {
  chromium: async () => (await import('./chromium/suite.ts')).chromiumSuite,
  cold: async () => (await import('./cold.ts')).coldSuite,
  demo: async () => (await import('./demo/suite.ts')).demoSuite,
  fidelity: async () => (await import('./fidelity/suite.ts')).fidelitySuite,
  gradient: async () => (await import('./gradient.ts')).gradientSuite,
  jax: async () => (await import('./jax.ts')).jaxSuite,
  layer: async () => (await import('./layer.ts')).layerSuite,
  ops: async () => (await import('./ops.ts')).opsSuite,
  profile: async () => (await import('./profile.ts')).profileSuite,
  sizes: async () => (await import('./sizes.ts')).sizesSuite,
  step: async () => (await import('./step.ts')).stepSuite,
  tune: async () => (await import('./tune.ts')).tuneSuite,
};

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    backend: {type: 'string'},
    json: {type: 'string'},
    rounds: {type: 'string', default: '7'},
    shape: {type: 'string', multiple: true},
    own: {type: 'boolean', default: false},
    ahead: {type: 'boolean', default: false},
    base: {type: 'string'},
    'no-robustness': {type: 'boolean', default: false},
    adapter: {type: 'string', default: 'gpu'},
    flag: {type: 'string', multiple: true, default: []},
    model: {type: 'string'},
    data: {type: 'string', multiple: true, default: []},
    rows: {type: 'string', multiple: true},
    seeds: {type: 'string', default: '0,1,2'},
    steps: {type: 'string', default: '300'},
    length: {type: 'string', default: '256'},
    windows: {type: 'string', default: '192'},
    time: {type: 'boolean', default: false},
    processes: {type: 'string', default: '1'},
    gpus: {type: 'string', default: '0'},
  },
});
const name = positionals[0] ?? 'layer';
const load = SUITES[name];
const rounds = Number(values.rounds);
const adapter = ADAPTERS.find((one) => one === values.adapter);
if (!load || !(rounds >= 1) || !adapter) {
  const known = Object.keys(SUITES).join(', ');
  console.error(
    `usage: npm run bench -- [${known}] [--backend B] [--shape …]… [--rounds R] [--own] [--ahead] [--base float16|bfloat16] [--flag NAME=VALUE]… [--no-robustness] [--json FILE]\n` +
      'step: [--rows PART]…; fidelity: --model FOLDER --data FILE… [--rows PART]… [--seeds 0,1,2] [--steps 300] [--length 256] [--windows 192]\n' +
      '          [--time | --processes 1 [--gpus N]]; chromium, demo: [--adapter gpu|swiftshader]',
  );
  process.exit(2);
}

if (adapter === 'swiftshader') offerSwiftShader(); // to Node as well as to Chromium
// what Chromium computes on is told with its results
const wanted = values.backend ?? (name === 'chromium' ? 'cpu' : undefined);
const {backend, device} = await startBackend(wanted, values.flag);
const machine = {
  backend,
  device,
  ...(values.flag.length > 0 && {flags: values.flag.join(' ')}),
  cpu: `${cpus().length} × ${cpus()[0]?.model.trim()}`,
  system: `${platform()} ${release()}`,
  node: process.version,
  tfjs: tf.version_core,
};
console.log(
  Object.entries(machine)
    .map((entry) => entry.join(' '))
    .join(', '),
);
const write = values.json ? jsonFile(values.json) : undefined;
const save = async (results: object[]) => write?.({suite: name, machine, rounds, results});
const options: SuiteOptions = {
  rounds,
  shapes: values.shape,
  own: values.own,
  adapter,
  ahead: values.ahead,
  base: values.base === undefined ? undefined : resolveConfig({base: values.base as Base}, '--base').base,
  fidelity: {
    model: values.model,
    data: values.data,
    only: values.rows,
    seeds: values.seeds.split(',').map(Number),
    steps: Number(values.steps),
    length: Number(values.length),
    windows: Number(values.windows),
    time: values.time,
    processes: Number(values.processes),
    gpus: Number(values.gpus),
    json: values.json,
    setup: {backend, flags: values.flag},
  },
  say: (text) => console.log(text),
  save,
};
const suite = await load();
const results = await suite(options);
await save(results);
// the same once more, beside the first: what Dawn's checks of every access cost
if (values['no-robustness']) {
  tf.removeBackend('webgpu');
  await setUpWebGPU({allowSoftware: true, robustness: false});
  console.log('\nwithout the checks that keep shaders within their buffers');
  const unchecked = await suite({...options, save: async () => {}});
  await save([...results, ...unchecked.map((result) => ({...result, robustness: false}))]);
}
process.exit(0); // a GPU device keeps the process alive
