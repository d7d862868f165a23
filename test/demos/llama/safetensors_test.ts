import {expect} from 'chai';
import type {JsonObject} from '../../../demos/llama/files.ts';
import {readCheckpoint, readTensor} from '../../../demos/llama/safetensors.ts';
import {writeSafetensors} from '../../../src/files/safetensors.ts';
import {expectModelError, memoryFiles} from './fixtures.ts';

const single = (bytes: Uint8Array) => memoryFiles({'model.safetensors': bytes});

describe('a checkpoint', () => {
  it('is read from one file, tensor by tensor', async () => {
    const tensors = {a: {shape: [2], data: Float32Array.of(1, 2)}, b: {shape: [], data: Float32Array.of(3)}};
    const files = single(writeSafetensors(tensors));
    const checkpoint = await readCheckpoint(files);
    expect([...checkpoint.keys()]).to.deep.equal(['a', 'b']);
    expect(await readTensor(files, 'a', checkpoint.get('a')!)).to.deep.equal(tensors.a.data);
  });

  it('is refused by the name of its file', async () => {
    const truncated = writeSafetensors({a: {shape: [2], data: Float32Array.of(1, 2)}}).slice(0, -1);
    for (const bytes of [new Uint8Array(0), truncated]) {
      await expectModelError(readCheckpoint(single(bytes)), /^model\.safetensors: /);
    }
  });

  describe('in shards', () => {
    const shards = {
      'one.safetensors': writeSafetensors({a: {shape: [1], data: Float32Array.of(1)}}),
      'two.safetensors': writeSafetensors({b: {shape: [1], data: Float32Array.of(2)}}),
    };
    const index = (map: JsonObject) => ({'model.safetensors.index.json': {metadata: {}, weight_map: map}});
    const both = {a: 'one.safetensors', b: 'two.safetensors'};

    it('is read through its index', async () => {
      const files = memoryFiles({...shards, ...index(both)});
      const checkpoint = await readCheckpoint(files);
      expect([...checkpoint.keys()]).to.deep.equal(['a', 'b']);
      expect((await readTensor(files, 'b', checkpoint.get('b')!))[0]).to.equal(2);
    });

    const refused: [string, Parameters<typeof memoryFiles>[0], RegExp][] = [
      ['no weights', {}, /^neither model.safetensors nor model.safetensors.index.json/],
      ['no weight map', {'model.safetensors.index.json': {}}, /index.json: weight_map is missing$/],
      [
        'a missing shard',
        {'one.safetensors': shards['one.safetensors'], ...index(both)},
        /^two.safetensors is missing/,
      ],
      [
        'a tensor that no shard has',
        {...shards, ...index({...both, c: 'one.safetensors'})},
        /^one.safetensors: tensor 'c' is missing$/,
      ],
      [
        'a tensor that the index does not know',
        {...shards, ...index({a: 'one.safetensors', x: 'two.safetensors'})},
        /^two.safetensors: tensor 'b' is not there according to/,
      ],
      [
        'a path out of the folder',
        index({a: '../one.safetensors'}),
        /tensor 'a' is said to be in "..\/one.safetensors"/,
      ],
    ];
    for (const [what, contents, message] of refused) {
      it(`is refused: ${what}`, () => expectModelError(readCheckpoint(memoryFiles(contents)), message));
    }
  });
});
