import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {expect} from 'chai';
import {writeSafetensors} from '../../../src/files/safetensors.ts';
import {randomTensors, tinyConfig} from '../llama/fixtures.ts';
import {demo, type Flags, temporaryFolder, textOf, writeLlama} from './demo.ts';

// what else can be wrong with options, model or data is tested where that is read: here is what becomes of it
describe('bad input of the Node demo', () => {
  const path = temporaryFolder();
  const EARLIER = ['adapter', 'loss.svg', 'run.json'];

  before(async () => {
    await writeLlama(path('llama'));
    await writeLlama(path('short'));
    const weights = writeSafetensors(randomTensors(tinyConfig()));
    await writeFile(path('short', 'model.safetensors'), weights.subarray(0, weights.length - 100));
    await writeFile(path('text.txt'), textOf(1000));
    await mkdir(path('out'));
    for (const name of EARLIER) await writeFile(path('out', name), `an earlier ${name}`);
  });

  const llama = (model: string, data: string): Flags => ({model: path(model), data: path(data), seq: 8});
  const cases: [string, () => Flags, RegExp][] = [
    ['an unknown option', () => ({kept: 0.5}), /^Unknown option '--kept'/],
    ['an unknown backend', () => ({backend: 'cuda'}), /^backend must be one of .*wasm.* 'cuda'$/],
    [
      'a truncated checkpoint',
      () => llama('short', 'text.txt'),
      /^--model '.*short': model\.safetensors: tensor '.*' ends at byte .*truncated/,
    ],
    [
      'a data file that is not there',
      () => llama('llama', 'none.txt'),
      /^--data: cannot read '.*none\.txt' \(ENOENT\)$/,
    ],
    [
      'a sequence that is too long',
      () => ({...llama('llama', 'text.txt'), seq: 65}),
      /^--seq must be at most 64 for this model, but is 65$/,
    ],
    [
      'a target that is no layer',
      () => ({...llama('llama', 'text.txt'), target: '^up$'}),
      /target \/\^up\$\/ matches no Dense layer; there are: .*up_proj/,
    ],
  ];
  for (const [what, flags, message] of cases) {
    it(`${what} is one clear line, and nothing is lost`, async () => {
      const {code, stderr} = await demo({backend: 'wasm', ...flags(), out: path('out')});
      const said = stderr.split('\n').filter((line) => line !== '' && !line.endsWith(' left')); // progress
      expect(said).to.have.length(1);
      expect(said[0]).to.match(/^error: /);
      expect(said[0]!.slice('error: '.length)).to.match(message);
      expect(code).to.equal(2);
      expect(await readdir(path('out'))).to.have.members(EARLIER);
      for (const name of EARLIER) {
        expect(await readFile(path('out', name), 'utf8')).to.equal(`an earlier ${name}`);
      }
    });
  }
});
