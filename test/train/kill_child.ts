/**
 * A run that kills itself: `node kill_child.js FOLDER LOG MOMENT TIMES`. It goes on from FOLDER's checkpoint, appends every
 * loss to LOG, and ends by SIGKILL when MOMENT comes the TIMES-th time; otherwise it writes what it came to into LOG.
 */
import {appendFileSync} from 'node:fs';
import fs from 'node:fs/promises';
import {syncBuiltinESMExports} from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import {type BatchLoss, fineTune, type TokenBatch, type TrainingEvent} from '../../src/index.ts';
import {folderStore} from '../../src/node.ts';
import {busyModel, busyOptions} from './runs.ts';

const [folder, log, moment, times] = process.argv.slice(2) as [string, string, string, string];

let left = Number(times);
/** Something happens that may be the moment. */
function now(what: string): void {
  if (what === moment && --left === 0) process.kill(process.pid, 'SIGKILL');
}

const real = {open: fs.open, rename: fs.rename};
fs.open = async (...args) => {
  const handle = await real.open(...args);
  now('opened');
  handle.writeFile = async (data) => {
    const bytes = data as Uint8Array;
    const half = bytes.length >> 1;
    await handle.write(bytes.subarray(0, half));
    now('half');
    await handle.write(bytes.subarray(half));
    now('written');
  };
  const sync = handle.sync.bind(handle);
  handle.sync = async () => {
    await sync();
    now('synced');
  };
  return handle;
};
fs.rename = async (...args) => {
  await real.rename(...args);
  now('renamed');
};
syncBuiltinESMExports();

await tf.setBackend('cpu');
const model = busyModel();
const options = busyOptions(model);
const loss: BatchLoss<TokenBatch> = (batch, apply) => {
  now('loss');
  return options.loss(batch, apply);
};
function onEvent(event: TrainingEvent): void {
  if (event.type === 'step' || event.type === 'eval') {
    appendFileSync(log, `${event.type} ${event.step} ${event.loss}\n`);
  }
  now(event.type);
}
const checkpoints = {store: folderStore(folder), every: 2, resume: true};
const {losses, evaluations} = await fineTune({...options, steps: 40, loss, onEvent, checkpoints});
const weights = model.trainableWeights.map((weight) => [...weight.read().dataSync()]);
appendFileSync(log, `done ${JSON.stringify({losses, evaluations, weights})}\n`);
