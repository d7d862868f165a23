import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect} from 'chai';
import {jsonFile} from './json_file.ts';

describe('bench: jsonFile', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'json-file-'));
  });
  afterEach(() => rm(folder, {recursive: true}));

  it('holds what was saved last, of saves at once, and nothing is left beside it', async () => {
    const path = join(folder, 'results.json');
    const save = jsonFile(path);
    await Promise.all(Array.from({length: 30}, (_, i) => save({results: Array(i).fill(i)})));
    expect(JSON.parse(await readFile(path, 'utf8'))).to.deep.equal({results: Array(29).fill(29)});
    expect(await readdir(folder)).to.deep.equal(['results.json']);
  });

  it('a folder that is not there is an error of the save', async () => {
    const error = await jsonFile(join(folder, 'none', 'results.json'))({}).catch((reason: Error) => reason);
    expect(String(error)).to.match(/ENOENT.*none/);
  });
});
