import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {type GenerateOptions, generate, sample} from '../../../demos/llama/generate.ts';
import {type LoadedLlama, loadLlama} from '../../../demos/llama/load.ts';
import {llamaLogits} from '../../reference/llama.ts';
import {onBackend, randomTensors, tinyConfig, tinyModel} from './fixtures.ts';

describe('generation', () => {
  onBackend('wasm');
  let llama: LoadedLlama;
  before(async () => {
    llama = await loadLlama(tinyModel());
  });
  after(() => llama.model.dispose());

  const run = (options: Partial<GenerateOptions> = {}, prompt = [1, 5, 9]) =>
    generate(llama.model, prompt, {maxPositions: 64, maxNewTokens: 8, ...options});

  it('takes the tokens that the float64 reference finds likeliest, beyond a bucket of 32 too', async () => {
    const weights = new Map(Object.entries(randomTensors(tinyConfig())));
    const ids = [1, 5, 9];
    while (ids.length < 40) {
      const last = llamaLogits(llama.config, weights, ids).at(-1)!;
      ids.push(last.indexOf(Math.max(...last)));
    }
    const seen: number[] = [];
    const found = await run({maxNewTokens: 37, onToken: (id) => seen.push(id)});
    expect(found).to.deep.equal(ids.slice(3));
    expect(seen).to.deep.equal(found);
  });

  it('ends at a token that ends the text, and at the last position', async () => {
    const greedy = await run();
    const end = greedy.findIndex((id, i) => greedy.indexOf(id) === i && i > 0);
    expect(end).to.be.above(0);
    expect(await run({eosIds: [greedy[end]!]})).to.deep.equal(greedy.slice(0, end));
    expect(await run({maxPositions: 6, maxNewTokens: 50})).to.deep.equal(greedy.slice(0, 4));
  });

  it('can be stopped', async () => {
    const controller = new AbortController();
    const found = await run({
      signal: controller.signal,
      onToken: () => controller.abort(),
    });
    expect(found).to.deep.equal((await run()).slice(0, 1));
  });

  it('draws the same tokens for the same seed, others for another', async () => {
    const draw = (seed: number) => run({temperature: 2, seed, maxNewTokens: 16});
    expect(await draw(3)).to.deep.equal(await draw(3));
    expect(await draw(3)).to.not.deep.equal(await draw(4));
  });

  it('is greedy in the limit of a low temperature or a low topP', async () => {
    const greedy = await run();
    expect(await run({temperature: 1e-4})).to.deep.equal(greedy);
    expect(await run({temperature: 1, topP: 1e-6})).to.deep.equal(greedy);
  });

  it('leaves no tensor behind', async () => {
    await run();
    const before = tf.memory();
    await run({temperature: 1});
    expect(tf.memory().numTensors).to.equal(before.numTensors);
    expect(tf.memory().numDataBuffers).to.equal(before.numDataBuffers);
  });

  for (const [options, prompt, message] of [
    [{}, [], 'the prompt has no token'],
    [{maxPositions: 2}, [1, 2, 3], "the prompt's 3 tokens exceed the model's 2 positions"],
    [{temperature: -1}, [1], 'temperature must be 0 or above, not -1'],
    [{temperature: 1, topP: 0}, [1], 'topP must be above 0 and at most 1, not 0'],
  ] as const) {
    it(`is refused: ${message}`, async () => {
      const error = await run(options, [...prompt]).catch((reason: Error) => reason);
      expect(error).to.be.an('error').with.property('message', `generate: ${message}`);
    });
  }
});

describe('sampling', () => {
  const logits = Float32Array.from([0.5, 0.3, 0.15, 0.05].map(Math.log));
  /** Draws at evenly spaced points, so that the shares are exact but for the rounding at the ends. */
  function shares(temperature: number, topP: number): number[] {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 10000; i++)
      counts[sample(logits, temperature, topP, () => (i + 0.5) / 10000)]! += 1e-4;
    return counts;
  }
  const expectShares = (found: number[], expected: number[]) => {
    for (const [i, share] of expected.entries()) expect(found[i], `token ${i}`).to.be.closeTo(share, 2e-4);
  };

  it('follows the softmax', () => expectShares(shares(1, 1), [0.5, 0.3, 0.15, 0.05]));

  it('follows the softmax at a temperature', () => {
    const squares = [0.25, 0.09, 0.0225, 0.0025];
    const total = squares.reduce((a, b) => a + b);
    expectShares(
      shares(0.5, 1),
      squares.map((square) => square / total),
    );
  });

  it('draws among the likeliest that reach topP', () => {
    expectShares(shares(1, 0.7), [0.625, 0.375, 0, 0]);
    expectShares(shares(1, 0.81), [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]);
  });
});
