import {mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect} from 'chai';
import {writeSafetensors} from '../../src/files/safetensors.ts';
import {FileError} from '../../src/index.ts';
import {folderStore} from '../../src/node.ts';
import {Checkpoints, decodeState, encodeState} from '../../src/train/checkpoint_store.ts';
import type {TrainingState} from '../../src/train/training_state.ts';
import {failure, memoryStore} from './runs.ts';

/** A state that is told from others by its step. */
const stateOf = (step: number): TrainingState => ({
  manifest: {
    ...{step, batches: 2 * step, seconds: 1.25},
    evaluations: [{step: 1, loss: 0.1 + 0.2}],
    weights: [{name: 'a "quoted" ü', shape: [2]}],
    optimizer: [{name: 'iter', dtype: 'int32'}],
    layers: [{name: 'drop', dropout: 2 ** 32 - 1}],
  },
  tensors: {
    losses: {shape: [3], data: Float32Array.of(3, 2.5, 1e-30)},
    'weight/0': {shape: [2], data: Float32Array.of(-1, 7)},
    'optimizer/0': {shape: [], data: Float32Array.of(step)},
  },
});

const FILES = ['checkpoint-0.safetensors', 'checkpoint-1.safetensors'];

describe('a training state in a file', () => {
  it('is the same when it is read', () => {
    const {generation, ...state} = decodeState('x', encodeState(stateOf(5), 7));
    expect(generation).to.equal(7);
    expect(state).to.deep.equal(stateOf(5));
  });

  it('is refused when a byte of it changed, or its end is missing', () => {
    const bytes = encodeState(stateOf(5), 7);
    for (let at = 0; at < bytes.length; at++) {
      expect(() => decodeState('x', bytes.slice(0, at)), `first ${at}`).to.throw(FileError, /^x/);
      const changed = bytes.slice();
      changed[at]! ^= 1;
      expect(() => decodeState('x', changed), `byte ${at}`).to.throw(FileError, /^x/);
    }
  });

  it('is told from other files', () => {
    const other = writeSafetensors({a: {shape: [], data: Float32Array.of(1)}});
    expect(() => decodeState('x', other)).to.throw(
      FileError,
      'x is no state of a training run that this version knows',
    );
  });
});

describe('Checkpoints', () => {
  it('keep the last two in turn', async () => {
    const store = memoryStore();
    const checkpoints = new Checkpoints(store);
    expect(await checkpoints.latest()).to.equal(undefined);
    for (let step = 1; step <= 5; step++) {
      expect(await checkpoints.save(stateOf(step))).to.equal(FILES[(step - 1) % 2]);
      const found = await new Checkpoints(store).latest();
      expect(found!.manifest.step).to.equal(step);
      expect(await store.list()).to.deep.equal(FILES.slice(0, step));
    }
    // the steps of a run that begins anew are fewer
    const anew = new Checkpoints(store);
    await anew.latest();
    await anew.save(stateOf(1));
    expect((await new Checkpoints(store).latest())!.manifest.step).to.equal(1);
  });

  it('take the one before where the last is not whole, and then write over that', async () => {
    const store = memoryStore();
    const checkpoints = new Checkpoints(store);
    await checkpoints.latest();
    for (const step of [1, 2]) await checkpoints.save(stateOf(step));
    store.files.set(FILES[1]!, store.files.get(FILES[1]!)!.slice(0, 100));
    const next = new Checkpoints(store);
    const found = await next.latest();
    expect(found).to.deep.include({name: FILES[0]});
    expect(found!.manifest.step).to.equal(1);
    expect(await next.save(stateOf(3))).to.equal(FILES[1]);
    expect((await new Checkpoints(store).latest())!.manifest.step).to.equal(3);
  });

  it('do not lose the last one when saving fails', async () => {
    const store = memoryStore();
    const checkpoints = new Checkpoints(store);
    await checkpoints.latest();
    for (const step of [1, 2]) await checkpoints.save(stateOf(step));
    const {save} = store;
    store.save = async (name, bytes) => {
      await save(name, bytes.slice(0, 50)); // a store that is not atomic
      throw new Error('disk full');
    };
    for (let i = 0; i < 2; i++) {
      expect((await failure(checkpoints.save(stateOf(3)))).message).to.equal('disk full');
      expect((await new Checkpoints(store).latest())!.manifest.step).to.equal(2);
    }
    store.save = save;
    await checkpoints.save(stateOf(4));
    expect((await new Checkpoints(store).latest())!.manifest.step).to.equal(4);
  });

  it('say so if none is whole', async () => {
    const store = memoryStore();
    for (const name of FILES) store.files.set(name, new Uint8Array(3));
    const error = await failure(new Checkpoints(store).latest());
    expect(error).to.be.instanceOf(FileError);
    expect(error.message).to.match(/^checkpoint-1\.safetensors: 3 bytes are too few/);
  });

  it('pass over other files of the store', async () => {
    const store = memoryStore();
    await store.save('adapter_model.safetensors', new Uint8Array(3));
    expect(await new Checkpoints(store).latest()).to.equal(undefined);
  });
});

describe('folderStore', () => {
  let parent: string;
  before(() => {
    parent = mkdtempSync(join(tmpdir(), 'celora-store-'));
  });
  after(() => rmSync(parent, {recursive: true}));

  it('is empty before its folder is made, and gives back what it was given', async () => {
    const folder = join(parent, 'new', 'folder');
    const store = folderStore(folder);
    expect(await store.list()).to.deep.equal([]);
    expect(await store.load('a.bin')).to.equal(undefined);
    for (const bytes of [Uint8Array.of(1, 2, 3), Uint8Array.of(9), new Uint8Array()]) {
      await store.save('a.bin', bytes);
      expect([...(await store.load('a.bin'))!]).to.deep.equal([...bytes]);
    }
    expect(await store.list()).to.deep.equal(['a.bin']);
  });

  it('does not list what was not written to its end, and writes over it', async () => {
    const folder = join(parent, 'torn');
    mkdirSync(folder);
    writeFileSync(join(folder, 'a.bin.part'), 'half of a long one');
    const store = folderStore(folder);
    expect(await store.list()).to.deep.equal([]);
    await store.save('a.bin', Uint8Array.of(7));
    expect(readdirSync(folder)).to.deep.equal(['a.bin']);
    expect([...(await store.load('a.bin'))!]).to.deep.equal([7]);
  });

  it('refuses names that are none of a file in it', async () => {
    const store = folderStore(parent);
    for (const name of ['../a', 'a/b', 'a\\b', '', '.', '..', '.a']) {
      await expectRefused(() => store.save(name, Uint8Array.of(1)), name);
      await expectRefused(() => store.load(name), name);
    }
  });

  async function expectRefused(body: () => Promise<unknown>, name: string): Promise<void> {
    const error = await failure((async () => body())());
    expect(error.message).to.equal(`folderStore: '${name}' is no name of a file`);
  }

  it('passes on what the system says', async () => {
    writeFileSync(join(parent, 'file'), '');
    const error = await failure(folderStore(join(parent, 'file')).list());
    expect(error).to.include({code: 'ENOTDIR'});
  });
});
