import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {loadLlama} from '../../demos/llama/load.ts';
import {applyCELoRA} from '../../src/index.ts';
import {readAdapter} from '../../src/node.ts';
import {memoryFiles, tinyTokenizer} from '../demos/llama/fixtures.ts';
import {celoraLayer} from '../model/models.ts';

/** What peft_fixture.py wrote: a tiny Llama, adapters of it, and PEFT's logits. */
export const FIXTURE = join(import.meta.dirname, 'fixtures/peft');

type Adapter = 'rslora' | 'plain';

interface Expected extends Record<Adapter | 'base', number[]> {
  input_ids: number[][];
}

export const expected = (): Expected =>
  JSON.parse(readFileSync(join(FIXTURE, 'expected.json'), 'utf8')) as Expected;

export const peftAdapter = (name: Adapter) => readAdapter(join(FIXTURE, name));

/** The base of the adapters, without adapter. */
export async function baseModel(): Promise<LayersModel> {
  const read = (name: string) => new Uint8Array(readFileSync(join(FIXTURE, 'model', name)));
  const files = {'config.json': read('config.json'), 'model.safetensors': read('model.safetensors')};
  const {model} = await loadLlama(memoryFiles({...files, 'tokenizer.json': tinyTokenizer()}));
  return model;
}

export async function logits(model: LayersModel): Promise<Float32Array> {
  const ids = tf.tensor2d(expected().input_ids, undefined, 'int32');
  const result = model.predict(ids) as tf.Tensor;
  return (await result.data()) as Float32Array;
}

/** Asserts that no two logits are further apart than PEFT's and ours may be. */
export function expectLogits(actual: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(actual.length).to.equal(wanted.length);
  const differences = Array.from(wanted, (value, i) => Math.abs(actual[i]! - value));
  expect(Math.max(...differences), 'the largest difference of logits').to.be.below(1e-4);
}

/**
 * An adapter of ours for PEFT to load: other ranks, scales and modules layer by layer, and values that are the same on
 * every machine.
 */
export async function ourModel(): Promise<LayersModel> {
  const model = await baseModel();
  const report = applyCELoRA(model, {
    target: /layers\.0\..*_proj|layers\.1\.mlp|lm_head/,
    rank: 4,
    alpha: 6,
    overrides: [
      {target: 'q_proj', rank: 2, alpha: 3},
      {target: /layers\.0\.mlp\.up_proj/, rslora: true},
      {target: 'lm_head', rank: 5, alpha: 2, rslora: true},
    ],
  });
  tf.tidy(() => {
    for (const [i, {name}] of report.layers.entries()) {
      const {loraA, loraB} = celoraLayer(model, name).adapters.active!;
      for (const [j, variable] of [loraA, loraB].entries()) {
        const [rows, columns] = variable.shape as [number, number];
        const values = Float32Array.from({length: rows * columns}, (_, k) => {
          // a fraction that float32 holds exactly
          return (((k * 37 + i * 11 + j * 5) % 64) - 31.5) / 128;
        });
        variable.write(tf.tensor2d(values, [rows, columns]));
      }
    }
  });
  return model;
}
