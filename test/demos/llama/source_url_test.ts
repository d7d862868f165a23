import {expect} from 'chai';
import type {ModelFiles} from '../../../demos/llama/files.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {filesAddress, modelAtUrl} from '../../../demos/llama/source_url.ts';
import {writeSafetensors} from '../../../src/files/safetensors.ts';
import {expectModelError, memoryFiles, onBackend, randomTensors, tinyConfig, tinyModel} from './fixtures.ts';
import {ModelServer} from './model_server.ts';

const NAMES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

/** The first numbers of the model's last norm and of its embedding. */
async function numbersOf(files: ModelFiles): Promise<number[]> {
  const {model} = await loadLlama(files);
  const weights = ['model.norm', 'model.embed_tokens'].map((name) => model.getLayer(name).getWeights()[0]!);
  const values = await Promise.all(weights.map((weight) => weight.data()));
  model.dispose();
  return values.flatMap((data) => [...data.slice(0, 8)]);
}

describe('filesAddress', () => {
  const ADDRESSES: [given: string, files: string][] = [
    ['https://huggingface.co/owner/name', 'https://huggingface.co/owner/name/resolve/main/'],
    ['https://huggingface.co/owner/name/', 'https://huggingface.co/owner/name/resolve/main/'],
    ['https://huggingface.co/owner/name/tree/v1.0', 'https://huggingface.co/owner/name/resolve/v1.0/'],
    ['https://huggingface.co/owner/name/resolve/main', 'https://huggingface.co/owner/name/resolve/main/'],
    ['http://localhost:8000', 'http://localhost:8000/'],
    ['http://localhost:8000/models/llama/config.json', 'http://localhost:8000/models/llama/'],
    ['https://example.org/owner/name?download=true#top', 'https://example.org/owner/name/'],
  ];
  for (const [given, files] of ADDRESSES) {
    it(`of ${given}`, () => expect(filesAddress(given)).to.equal(files));
  }

  it('refuses what is no address', () => {
    for (const given of ['owner/name', '', 'file:///models/llama']) {
      expect(() => filesAddress(given)).to.throw(/is no address of a model: one is https:/);
    }
  });
});

describe('modelAtUrl', () => {
  onBackend('cpu');

  const model = tinyModel();
  let server: ModelServer;
  let expected: number[];

  before(async () => {
    expected = await numbersOf(model);
  });
  beforeEach(async () => {
    server = await ModelServer.of(model, NAMES);
    await server.start();
  });
  afterEach(() => server.stop());

  it('loads the same model as from its files, each downloaded once, and counts the bytes', async () => {
    const seen: [number, number][] = [];
    const files = await modelAtUrl(server.url, {onProgress: (...bytes) => seen.push(bytes)});
    expect(await numbersOf(files)).to.deep.equal(expected);
    expect([...server.requests].sort()).to.deep.equal(NAMES);
    const sizes = await Promise.all(NAMES.map((name) => model.size(name)));
    const total = sizes.reduce<number>((sum, size) => sum + size!, 0);
    expect(seen.at(-1)).to.deep.equal([total, total]);
    expect(seen.every(([loaded, all], i) => all === total && loaded >= (seen[i - 1]?.[0] ?? 0))).to.equal(
      true,
    );
  });

  it('loads shards, and needs no tokenizer_config.json', async () => {
    const tensors = Object.entries(randomTensors(tinyConfig()));
    const halves = [tensors.slice(0, 5), tensors.slice(5)].map((half) => Object.fromEntries(half));
    const shard = (i: number) => `model-0000${i + 1}-of-00002.safetensors`;
    const weightMap = halves.flatMap((half, i) => Object.keys(half).map((name) => [name, shard(i)]));
    const contents = {
      'config.json': tinyConfig(),
      'tokenizer.json': await model.read('tokenizer.json'),
      'model.safetensors.index.json': {weight_map: Object.fromEntries(weightMap)},
      ...Object.fromEntries(halves.map((half, i) => [shard(i), writeSafetensors(half)])),
    };
    await server.stop();
    server = await ModelServer.of(memoryFiles(contents), Object.keys(contents));
    await server.start();
    for (const page of [false, true]) {
      server.faults = {page};
      const seen: [number, number][] = [];
      const files = await modelAtUrl(server.url, {onProgress: (...bytes) => seen.push(bytes)});
      expect(await numbersOf(files)).to.deep.equal(expected);
      const [loaded, total] = seen.at(-1)!;
      expect(loaded).to.equal(total);
    }
  });

  const breaks = (times: number) => ({name: 'model.safetensors', after: 1000, times});

  it('goes on where a download broke', async () => {
    server.faults = {breaks: breaks(3)};
    expect(await numbersOf(await modelAtUrl(server.url))).to.deep.equal(expected);
    const requests = server.requests.filter((request) => request.startsWith('model.safetensors'));
    expect(requests).to.deep.equal([
      'model.safetensors',
      'model.safetensors from 1000',
      'model.safetensors from 2000',
      'model.safetensors from 3000',
    ]);
  });

  it('begins anew where the server knows no ranges, or the file has changed', async () => {
    server.faults = {breaks: breaks(2), wholeOnly: true};
    expect(await numbersOf(await modelAtUrl(server.url))).to.deep.equal(expected);

    server.faults = {breaks: breaks(1)};
    const files = await modelAtUrl(server.url, {
      onProgress() {
        server.tag = '"2"';
      },
    });
    server.requests.length = 0;
    await files.read('model.safetensors');
    expect(server.requests).to.deep.equal([
      'model.safetensors',
      'model.safetensors from 1000',
      'model.safetensors',
    ]);
    expect(await numbersOf(files)).to.deep.equal(expected);
  });

  it('asks again while the server is busy, and takes files whose sizes are not told', async () => {
    server.faults = {busy: 7, chunked: true};
    expect(await numbersOf(await modelAtUrl(server.url))).to.deep.equal(expected);
  });

  it('says what is wrong', async () => {
    server.faults = {status: 401};
    await expectModelError(
      modelAtUrl(server.url).then(loadLlama),
      /^http:.*config\.json cannot be read: the server wants a login: a private model/,
    );
    server.faults = {breaks: {name: 'config.json', after: 0, times: 99}};
    await expectModelError(modelAtUrl(server.url).then(loadLlama), /config\.json breaks off at byte 0/);
    server.faults = {page: true};
    await expectModelError(
      modelAtUrl(`${server.url}/none`),
      /none\/config\.json: there is no such file, so this is no address of a model$/,
    );
    const {url} = server;
    await server.stop();
    await expectModelError(modelAtUrl(url), /cannot be reached \(.*there is no network/);
    await server.start();
  });

  it('stops where it is told to', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const {signal} = controller;
    const files = await modelAtUrl(server.url, {signal, onProgress: () => controller.abort(reason)});
    const error = await loadLlama(files).catch((cause: unknown) => cause);
    expect(error).to.equal(reason);
  });
});
