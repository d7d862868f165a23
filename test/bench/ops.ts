import * as tf from '@tensorflow/tfjs-core';
import {selectColumns} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {setUpTensorFlow} from '../../src/node.ts';
import type {OpEntry, OpSizes} from './op_entry.ts';
import {repeated, type Suite, sideBySide} from './suite.ts';
import {trainingOps} from './training_ops.ts';
import {transformerOps} from './transformer_ops.ts';

/** One list of entries a family of kernels. */
const FAMILIES: readonly ((sizes: OpSizes) => OpEntry[])[] = [transformerOps, trainingOps];

/** hidden, ffn, heads, heads of k and v, vocabulary, batch, tokens: of TinyLlama. */
const SHAPES = ['2048,5632,32,4,32000,4,512'];

/** Runs of a kernel in one measurement: what it costs to read the result is shared by them. */
const REPEATS = 20;

/** Whether the kernels of a backend are our own. */
const FLAGS: Record<string, string> = {
  webgpu: 'CELORA_WEBGPU_SHADERS',
  tensorflow: 'CELORA_TENSORFLOW_OPS',
};

function sizesOf(shape: string): OpSizes {
  const numbers = shape.split(',').map(Number);
  if (numbers.length !== 7 || !numbers.every((size) => Number.isInteger(size) && size >= 1)) {
    throw new Error(`--shape must be hidden,ffn,heads,kvHeads,vocabulary,batch,tokens, but is '${shape}'`);
  }
  const [hidden, ffn, heads, kvHeads, vocabulary, batch, t] = numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {hidden, ffn, heads, kvHeads, vocabulary, batch, t, rows: batch * t};
}

/** Whether our ops of TensorFlow are worth timing: on the CPU they are there for tests. */
async function hasOwnOps(): Promise<boolean> {
  const {onGPU, stockOps} = await setUpTensorFlow();
  return onGPU && stockOps === undefined;
}

/** Each kernel as our own of the backend and in its portable form, in turn. */
export const opsSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  // registers the kernels, and with them the flag
  selectColumns(tf.ones([1]), 1).dispose();
  const flag = FLAGS[tf.getBackend()];
  const hasOwn = flag !== undefined && (tf.getBackend() !== 'tensorflow' || (await hasOwnOps()));
  const candidates = hasOwn ? {ours: true, portable: false} : {portable: false};
  const results: object[] = [];
  for (const shape of shapes) {
    const sizes = sizesOf(shape);
    const table: string[][] = [['', ...Object.keys(candidates), 'ratio', 'TFLOP/s', 'GB/s']];
    for (const {name, flops, bytes, make} of FAMILIES.flatMap((family) => family(sizes))) {
      tf.engine().startScope();
      const run = make();
      const each = Object.entries(candidates).map(([candidate, own]) => [
        candidate,
        () => {
          if (hasOwn) tf.env().set(flag, own);
          return repeated(run, REPEATS);
        },
      ]);
      const total = await sideBySide(Object.fromEntries(each), rounds);
      tf.engine().endScope();
      const times = Object.fromEntries(Object.entries(total).map(([key, ms]) => [key, ms / REPEATS]));
      const best = times.ours ?? times.portable!;
      table.push([
        name,
        ...Object.values(times).map((ms) => ms.toFixed(3)),
        (times.portable! / best).toFixed(2),
        flops ? (flops / best / 1e9).toFixed(2) : '',
        bytes ? (bytes / best / 1e6).toFixed(0) : '',
      ]);
      results.push({shape, name, ...times, flops: flops ?? null, bytes: bytes ?? null});
    }
    say(`\n${shape}: ms of one call (median of ${rounds} × ${REPEATS})`);
    say(formatTable(table));
  }
  return results;
};
