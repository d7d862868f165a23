import {writeFile} from 'node:fs/promises';
import {cpus, platform, release} from 'node:os';
import {parseArgs} from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import {chooseBackend} from '../../src/node.ts';
import {gradientSuite} from './gradient.ts';
import {layerSuite} from './layer.ts';
import {opsSuite} from './ops.ts';
import {stepSuite} from './step.ts';
import type {Suite} from './suite.ts';

const SUITES: Record<string, Suite> = {
  gradient: gradientSuite,
  layer: layerSuite,
  ops: opsSuite,
  step: stepSuite,
};

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    backend: {type: 'string'},
    json: {type: 'string'},
    rounds: {type: 'string', default: '7'},
    shape: {type: 'string', multiple: true},
    own: {type: 'boolean', default: false},
  },
});
const name = positionals[0] ?? 'layer';
const suite = SUITES[name];
const rounds = Number(values.rounds);
if (!suite || !(rounds >= 1)) {
  const known = Object.keys(SUITES).join(', ');
  console.error(
    `usage: npm run bench -- [${known}] [--backend B] [--shape …]… [--rounds R] [--own] [--json FILE]`,
  );
  process.exit(2);
}

const {backend, device} = await chooseBackend(values.backend);
const machine = {
  backend,
  device,
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
const results = await suite({
  rounds,
  shapes: values.shape,
  own: values.own,
  say: (text) => console.log(text),
});
if (values.json)
  await writeFile(values.json, `${JSON.stringify({suite: name, machine, rounds, results}, null, 2)}\n`);
process.exit(0); // a GPU device keeps the process alive
