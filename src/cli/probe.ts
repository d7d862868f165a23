// Run by the doctor in a process of its own, for a library may break it: starts the backend that is named, multiplies on
// it, and says as a line of JSON how that went.
import * as tf from '@tensorflow/tfjs-core';
import {chooseBackend} from '../node.ts';
import type {Probe} from './report.ts';

async function probe(name: string): Promise<Probe> {
  try {
    const {device} = await chooseBackend(name);
    const product = tf.matMul(tf.ones([2, 3]), tf.ones([3, 2]));
    const values = await product.data();
    if (values.some((value) => value !== 3)) return {works: false, reason: `computes ${values} for 3,3,3,3`};
    const {isUsingGpuDevice} = tf.backend() as tf.KernelBackend & {isUsingGpuDevice?: boolean};
    return {works: true, device, ...(name === 'tensorflow' && {onGPU: isUsingGpuDevice === true})};
  } catch (error) {
    // the errors of chooseBackend end with the command that helps, unless that is this one
    const [message] = (error as Error).message.split('\n') as [string];
    const [, reason = message, mend] = /^(.*): (np[mx] .*)$/.exec(message) ?? [];
    return {works: false, reason, ...(mend !== undefined && !mend.endsWith('doctor') && {mend})};
  }
}

process.stdout.write(`\n${JSON.stringify(await probe(process.argv[2]!))}\n`, () => process.exit(0));
