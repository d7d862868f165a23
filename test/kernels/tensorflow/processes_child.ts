// Run by processes_test.ts in a process of its own: what loads and ends the addon in other ways than one test process can.
import {copyFileSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {isMainThread, parentPort, Worker} from 'node:worker_threads';
import '@tensorflow/tfjs-layers';
import * as tf from '@tensorflow/tfjs-core';
import {registerNativeOps} from '../../../src/backends/native_ops.ts';
import {gatedUnit} from '../../../src/index.ts';
import {setUpTensorFlow} from '../../../src/node.ts';

const require = createRequire(import.meta.url);
const OPS = 'CELORA_TENSORFLOW_OPS';

/** Three numbers that our op makes, if `own`, or else the stock ones. */
async function compute(own: boolean): Promise<number[]> {
  if (own) tf.env().set(OPS, true);
  return Array.from(await gatedUnit(tf.tensor1d([-1, 0, 1]), tf.tensor1d([1, 1, 2])).data());
}

async function inWorkers(): Promise<unknown> {
  // a worker of Node 20 does not have tsx from its parent
  const source = `import('tsx/esm/api').then(({register}) => (register(), import(${JSON.stringify(import.meta.url)})))`;
  const workers = Array.from({length: 3}, () => new Worker(source, {eval: true}));
  const results = await Promise.all(
    workers.map(
      (worker) => new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject)),
    ),
  );
  await Promise.all(workers.map((worker) => worker.terminate()));
  await setUpTensorFlow();
  return [...results, await compute(true)];
}

/** Another copy of the addon, loaded before the package's own. */
async function inCopies(): Promise<unknown> {
  require('@tensorflow/tfjs-node-gpu');
  const folder = mkdtempSync(join(tmpdir(), 'celora-ops-'));
  const copy = join(folder, 'celora_ops.node');
  copyFileSync(new URL('../../../native/celora_ops.node', import.meta.url), copy);
  require(copy);
  rmSync(folder, {recursive: true});
  await setUpTensorFlow();
  return compute(true);
}

/** The package's kernels without ops that load. */
async function without(addon: string): Promise<unknown> {
  require('@tensorflow/tfjs-node-gpu');
  await tf.setBackend('tensorflow');
  const reason = registerNativeOps(addon);
  return {reason, same: registerNativeOps() === reason, values: await compute(false)};
}

async function withoutAddon(): Promise<unknown> {
  return without(join(tmpdir(), 'celora-nowhere.node'));
}

async function withBrokenAddon(): Promise<unknown> {
  const file = join(mkdtempSync(join(tmpdir(), 'celora-ops-')), 'celora_ops.node');
  writeFileSync(file, 'no addon');
  return without(file);
}

async function beforeTensorFlow(): Promise<unknown> {
  try {
    require('../../../native/celora_ops.node');
    return 'it loaded';
  } catch (error) {
    return (error as Error).message;
  }
}

const SCENES = {inWorkers, inCopies, withoutAddon, withBrokenAddon, beforeTensorFlow};

if (isMainThread) {
  const result = await SCENES[process.argv[2] as keyof typeof SCENES]();
  console.log(JSON.stringify(result));
} else {
  await setUpTensorFlow();
  parentPort!.postMessage(await compute(true));
}
