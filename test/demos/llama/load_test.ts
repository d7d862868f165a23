import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import type {JsonObject, ModelFiles} from '../../../demos/llama/files.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {writeSafetensors} from '../../../src/files/safetensors.ts';
import {
  expectModelError,
  onBackend,
  randomTensors,
  type Tensors,
  tinyConfig,
  tinyModel,
  tinyTokenizer,
} from './fixtures.ts';

const UNTIED = tinyConfig({tie_word_embeddings: false});
const Q = 'model.layers.1.self_attn.q_proj.weight';
const TABLE = 'model.embed_tokens.weight';

function without(tensors: Tensors, name: string): Tensors {
  const {[name]: _, ...rest} = tensors;
  return rest;
}

/** Logits of a short text. */
async function logits(files: ModelFiles): Promise<number[]> {
  const {model} = await loadLlama(files);
  const output = tf.tidy(() => model.apply(tf.tensor2d([[1, 2, 3]], undefined, 'int32')) as tf.Tensor);
  const values = [...(await output.data())];
  output.dispose();
  model.dispose();
  return values;
}

describe('loadLlama', () => {
  onBackend('cpu');

  it('gives kernels transposed, everything else as it is, and reports its progress in bytes', async () => {
    const tensors = randomTensors(UNTIED);
    const calls: [number, number][] = [];
    const {model, config} = await loadLlama(tinyModel(UNTIED, tensors), {
      onProgress: (...call) => calls.push(call),
    });
    expect(config.numKvHeads).to.equal(2);
    const kernel = model.getLayer('model.layers.1.self_attn.q_proj').getWeights()[0]!;
    expect(kernel.shape).to.deep.equal([12, 24]);
    expect((await kernel.data())[1]).to.equal(tensors[Q]!.data[12]);
    expect(await model.getLayer('model.norm').getWeights()[0]!.data()).to.deep.equal(
      tensors['model.norm.weight']!.data,
    );
    const bytes = Object.values(tensors).reduce((sum, {data}) => sum + data.byteLength, 0);
    expect(calls.length).to.equal(Object.keys(tensors).length);
    expect(calls.at(-1)).to.deep.equal([bytes, bytes]);
    model.dispose();
  });

  it('takes the table of a tied head under either name or both, and ignores derived tensors', async () => {
    const tensors = randomTensors(tinyConfig());
    const expected = await logits(tinyModel(tinyConfig(), tensors));
    const head = {...without(tensors, TABLE), 'lm_head.weight': tensors[TABLE]!};
    const both = {...tensors, 'lm_head.weight': tensors[TABLE]!};
    const old = {
      ...tensors,
      'model.layers.0.self_attn.rotary_emb.inv_freq': {shape: [2], data: new Float32Array(2)},
    };
    for (const given of [head, both, old]) {
      expect(await logits(tinyModel(tinyConfig(), given))).to.deep.equal(expected);
    }
  });

  it('reads a folder on disk, and says what is wrong there', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'llama-'));
    try {
      const weights = writeSafetensors(randomTensors(tinyConfig()));
      await writeFile(join(folder, 'config.json'), JSON.stringify(tinyConfig()));
      await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tinyTokenizer()));
      await writeFile(join(folder, 'model.safetensors'), weights);
      expect(await logits(modelFolder(folder))).to.deep.equal(await logits(tinyModel()));

      await writeFile(join(folder, 'model.safetensors'), weights.subarray(0, weights.length - 100));
      await expectModelError(
        loadLlama(modelFolder(folder)),
        /^model.safetensors: tensor '.*' ends at byte .*truncated/,
      );
      await rm(join(folder, 'config.json'));
      await expectModelError(loadLlama(modelFolder(folder)), /^config.json is missing/);
      const past = modelFolder(folder).read('tokenizer.json', 0, 1e6);
      await expectModelError(past, /tokenizer.json ends at byte \d+, before 1000000$/);
      await expectModelError(modelFolder(folder).read('nothing'), /nothing cannot be read \(ENOENT\)$/);
    } finally {
      await rm(folder, {recursive: true});
    }
  });

  const tensors = randomTensors(UNTIED);
  const wide = {...tensors, [Q]: {shape: [12, 24], data: tensors[Q]!.data}};
  const integers = writeSafetensors(tensors);
  // Same width, another meaning: the header's first F32 becomes an I32.
  const text = new TextDecoder('latin1').decode(integers.subarray(0, 200));
  integers.set([0x49], text.indexOf('"F32"') + 1);
  const refused: [string, ModelFiles, RegExp][] = [
    [
      'a missing tensor',
      tinyModel(UNTIED, without(tensors, Q)),
      new RegExp(`^tensor '${Q}' is missing from the checkpoint$`),
    ],
    [
      'a missing head',
      tinyModel(UNTIED, without(tensors, 'lm_head.weight')),
      /^tensor 'lm_head.weight' is missing/,
    ],
    [
      'a tensor of no use',
      tinyModel(UNTIED, {...tensors, extra: {shape: [1], data: new Float32Array(1)}}),
      /^model.safetensors: tensor 'extra' has no place in this model$/,
    ],
    [
      'a bias that config.json does not announce',
      tinyModel(UNTIED, {...tensors, 'model.norm.bias': {shape: [12], data: new Float32Array(12)}}),
      /tensor 'model.norm.bias' has no place/,
    ],
    [
      'a wrong shape',
      tinyModel(UNTIED, wide),
      new RegExp(
        `^model.safetensors: tensor '${Q}' has shape \\[12,24\\] but config.json asks for \\[24,12\\]$`,
      ),
    ],
    [
      'integers',
      tinyModel(UNTIED, tensors, {'model.safetensors': integers}),
      /^model.safetensors: tensor '.*' has dtype I32, not F32, F16 or BF16$/,
    ],
    [
      'a tokenizer of more tokens than the model has',
      tinyModel(tinyConfig({vocab_size: 20, eos_token_id: 2})),
      /^tokenizer.json has token id 21 but config.json's vocab_size is 20$/,
    ],
    [
      'a broken tokenizer',
      tinyModel(UNTIED, tensors, {'tokenizer.json': {model: {type: 'Runes'}}}),
      /^tokenizer.json is not understood/,
    ],
    [
      'a tokenizer that is not JSON',
      tinyModel(UNTIED, tensors, {'tokenizer.json': new Uint8Array([0x7b])}),
      /^tokenizer.json is not valid JSON$/,
    ],
    [
      'an end token that is none',
      tinyModel(UNTIED, tensors, {'tokenizer_config.json': {eos_token: '<end>'}}),
      /^tokenizer_config.json: eos_token "<end>" is not a token/,
    ],
  ];
  for (const [what, files, message] of refused) {
    it(`refuses ${what} and leaves nothing behind`, async () => {
      const before = tf.memory();
      await expectModelError(loadLlama(files), message);
      expect(tf.memory().numTensors).to.equal(before.numTensors);
      expect(tf.memory().numDataBuffers).to.equal(before.numDataBuffers);
    });
  }

  it('leaves nothing behind when the reading of a weight fails', async () => {
    const files = tinyModel();
    let reads = 0;
    const failing: ModelFiles = {
      ...files,
      read: async (name, start, end) => {
        if (name === 'model.safetensors' && ++reads > 8) throw new Error('the disk is gone');
        return await files.read(name, start, end);
      },
    };
    const before = tf.memory();
    const error = await loadLlama(failing).catch((reason: Error) => reason);
    expect(error).to.be.an('error').with.property('message', 'the disk is gone');
    expect(tf.memory().numTensors).to.equal(before.numTensors);
    expect(tf.memory().numDataBuffers).to.equal(before.numDataBuffers);
  });
});

describe('the tokenizer of a Llama', () => {
  onBackend('cpu');

  const load = async (settings: JsonObject, json = tinyConfig()) => {
    const {model, tokenizer} = await loadLlama(
      tinyModel(json, randomTensors(json), {'tokenizer_config.json': settings}),
    );
    model.dispose();
    return tokenizer;
  };

  it('encodes and decodes, with the beginning token where it is asked for', async () => {
    const tokenizer = await load({bos_token: '<s>', eos_token: {content: '</s>'}});
    expect(tokenizer.encode('a bad cab')).to.deep.equal([4, 3, 5, 4, 7, 3, 6, 4, 5]);
    expect(tokenizer.encode('ab', {bos: true})).to.deep.equal([1, 4, 5]);
    expect(tokenizer.encode('', {bos: true})).to.deep.equal([1]);
    expect(tokenizer.decode([1, 4, 3, 5, 2])).to.equal('a b');
    expect(tokenizer.decode([])).to.equal('');
    expect(tokenizer.eosIds).to.deep.equal([2]);
  });

  it('takes special tokens from config.json where tokenizer_config.json says nothing', async () => {
    const silent = await load({}, tinyConfig({bos_token_id: 0, eos_token_id: [2, 9]}));
    expect(silent.bosId).to.equal(0);
    expect(silent.eosIds).to.deep.equal([2, 9]);
    const none = await load({bos_token: null, eos_token: '<unk>'});
    expect(none.bosId).to.equal(undefined);
    expect(none.encode('ab', {bos: true})).to.deep.equal([4, 5]);
    expect(none.eosIds).to.deep.equal([2, 0]);
  });
});
