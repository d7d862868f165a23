import {fileURLToPath} from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type {ModelFiles} from '../../../demos/llama/files.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {type AdapterFiles, loadAdapter} from '../../../src/index.ts';
import '../../backends.ts'; // makes the backends available

/** The embedded model's folder. */
export const MODEL = fileURLToPath(new URL('../../../demos/model', import.meta.url));
/** Its tokens. */
export const VOCABULARY = 2048;

/** The logits that follow a prompt, in Node, of a model with an adapter. */
export async function logitsInNode(
  prompt: string,
  {files = modelFolder(MODEL), adapter}: {files?: ModelFiles; adapter?: AdapterFiles},
): Promise<Float32Array> {
  await tf.setBackend('cpu');
  const {model, tokenizer} = await loadLlama(files);
  if (adapter) loadAdapter(model, adapter);
  const ids = tokenizer.encode(prompt, {bos: true});
  const last = tf.tidy(() => {
    const logits = model.apply(tf.tensor2d(ids, [1, ids.length], 'int32')) as tf.Tensor3D;
    return tf.slice(logits, [0, ids.length - 1, 0], [1, 1, -1]);
  });
  const values = (await last.data()) as Float32Array;
  last.dispose();
  model.dispose();
  return values;
}

/** The largest difference of numbers. */
export const difference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
