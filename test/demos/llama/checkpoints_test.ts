import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {generate} from '../../../demos/llama/generate.ts';
import {type LoadedLlama, loadLlama} from '../../../demos/llama/load.ts';
import {causalLoss} from '../../../demos/llama/loss.ts';
import {readCheckpoint, readTensor} from '../../../demos/llama/safetensors.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {llamaLogits} from '../../reference/llama.ts';
import {dataFolder, onBackend} from './fixtures.ts';

interface Reference {
  prompts: {prompt: string; ids: number[]; greedy_ids: number[]; greedy_text: string}[];
  fixed: {
    input_ids: number[];
    targets: number[];
    last_logits_first32: number[];
    mean_ce_64_targets: number;
    per_position_ce: number[];
  };
}

/** Logits of a sequence, row by row. */
async function logitRows(llama: LoadedLlama, ids: number[]): Promise<Float32Array[]> {
  const logits = tf.tidy(() => llama.model.apply(tf.tensor2d([ids], undefined, 'int32')) as tf.Tensor);
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  const {vocabSize} = llama.config;
  return ids.map((_, t) => values.subarray(t * vocabSize, (t + 1) * vocabSize));
}

describe('docs-llama-30m', () => {
  const folder = dataFolder('docs-llama-30m');
  onBackend('wasm');
  let llama: LoadedLlama;
  let reference: Reference;
  before(async () => {
    llama = await loadLlama(modelFolder(folder));
    reference = JSON.parse(await readFile(join(folder, 'reference.json'), 'utf8'));
  });
  after(() => llama?.model.dispose());

  it('has the reference logits and losses', async () => {
    const {input_ids: ids, targets, last_logits_first32: last, ...losses} = reference.fixed;
    const rows = await logitRows(llama, ids);
    for (const [i, expected] of last.entries()) expect(rows.at(-1)![i]).to.be.closeTo(expected, 1e-3);
    const loss = (labels: number[]) =>
      tf.tidy(() => causalLoss(tf.stack(rows.map((row) => tf.tensor1d(row))), tf.tensor1d(labels, 'int32')));
    const lossOf = async (labels: number[]) => {
      const scalar = loss(labels);
      const [value] = await scalar.data();
      scalar.dispose();
      return value!;
    };
    expect(await lossOf(targets)).to.be.closeTo(losses.mean_ce_64_targets, 1e-3);
    for (const position of [0, 1, 31, 63]) {
      const alone = targets.map((target, t) => (t === position ? target : -1));
      expect(await lossOf(alone)).to.be.closeTo(losses.per_position_ce[position]!, 1e-3);
    }
  });

  it('continues the reference prompts token for token', async () => {
    for (const {prompt, ids, greedy_ids: greedy, greedy_text: text} of reference.prompts) {
      expect(llama.tokenizer.encode(prompt, {bos: true})).to.deep.equal(ids);
      // One causal pass over prompt and answer says at every position what generation would take there.
      const rows = await logitRows(llama, [...ids, ...greedy]);
      const taken = greedy.map((_, i) => {
        const row = rows[ids.length - 1 + i]!;
        return row.indexOf(Math.max(...row));
      });
      expect(taken).to.deep.equal(greedy);
      expect(llama.tokenizer.decode(greedy)).to.equal(text);
    }
    const {ids, greedy_ids: greedy} = reference.prompts[0]!;
    const {maxPositions} = llama.config;
    expect(await generate(llama.model, ids, {maxNewTokens: 16, maxPositions})).to.deep.equal(
      greedy.slice(0, 16),
    );
  });
});

describe('tinystories-656k', () => {
  const folder = dataFolder('tinystories-656k');
  onBackend('wasm');

  it('has the logits of the float64 reference, and tells a story', async () => {
    const files = modelFolder(folder);
    const llama = await loadLlama(files);
    const {config, tokenizer, model} = llama;
    const weights = new Map<string, {shape: number[]; data: Float32Array}>();
    for (const [name, entry] of await readCheckpoint(files)) {
      weights.set(name, {shape: entry.shape, data: await readTensor(files, name, entry)});
    }
    weights.set('model.embed_tokens.weight', weights.get('lm_head.weight')!);

    const ids = [tokenizer.bosId!];
    ids.push(...(await generate(model, ids, {maxNewTokens: 24, maxPositions: config.maxPositions})));
    expect(tokenizer.decode(ids)).to.match(/^Once upon a time, there was a little (girl|boy) named \w+/);

    const rows = await logitRows(llama, ids);
    for (const [t, expected] of llamaLogits(config, weights, ids).entries()) {
      for (const [i, logit] of expected.entries()) expect(rows[t]![i]).to.be.closeTo(logit, 1e-4);
      // Greedy: the token taken at t is the reference's likeliest as well.
      if (t + 1 < ids.length) expect(expected.indexOf(Math.max(...expected))).to.equal(ids[t + 1]);
    }
    model.dispose();
  });
});
