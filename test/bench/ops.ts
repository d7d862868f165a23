import * as tf from '@tensorflow/tfjs-core';
import {selectColumns} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
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

const SHADERS = 'CELORA_WEBGPU_SHADERS';

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

/** Each kernel as our shader and in its portable form, in turn. */
export const opsSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  // registers the kernels, and with them the flag
  selectColumns(tf.ones([1]), 1).dispose();
  const candidates = tf.getBackend() === 'webgpu' ? {ours: true, portable: false} : {portable: false};
  const results: object[] = [];
  for (const shape of shapes) {
    const sizes = sizesOf(shape);
    const table: string[][] = [['', ...Object.keys(candidates), 'ratio', 'TFLOP/s', 'GB/s']];
    for (const {name, flops, bytes, make} of FAMILIES.flatMap((family) => family(sizes))) {
      tf.engine().startScope();
      const run = make();
      const each = Object.entries(candidates).map(([candidate, shaders]) => [
        candidate,
        () => {
          if (tf.getBackend() === 'webgpu') tf.env().set(SHADERS, shaders);
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
