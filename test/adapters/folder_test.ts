import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {expect} from 'chai';
import {FileError} from '../../src/index.ts';
import {readAdapter, writeAdapter} from '../../src/node.ts';
import {temporaryFolder} from '../demos/node/demo.ts';
import {adapterOf} from './files.ts';

const rejection = (promise: Promise<unknown>): Promise<Error | undefined> =>
  promise.then(
    () => undefined,
    (error: Error) => error,
  );

describe('a folder of an adapter', () => {
  const path = temporaryFolder();
  const files = {...adapterOf(), 'README.md': new TextEncoder().encode('# card')};

  it('is made, and read back', async () => {
    const folder = path('a', 'b');
    await writeAdapter(folder, files);
    expect(await readdir(folder)).to.have.members(Object.keys(files));
    expect(await readFile(`${folder}/README.md`, 'utf8')).to.equal('# card');
    expect(await readAdapter(folder)).to.deep.equal(adapterOf());
  });

  it('keeps what else is there, and the old files where the new ones cannot be written', async () => {
    const folder = path('kept');
    await writeAdapter(folder, files);
    await writeFile(`${folder}/run.json`, '{}');
    await writeAdapter(folder, adapterOf({r: 3}));
    expect(await readdir(folder)).to.have.members([...Object.keys(files), 'run.json']);
    await mkdir(`${folder}/adapter_model.safetensors.part`);
    expect(await rejection(writeAdapter(folder, adapterOf({r: 4})))).to.be.an('error');
    expect(await readAdapter(folder)).to.deep.equal(adapterOf({r: 3}));
  });

  it('is not left', async () => {
    for (const name of ['../x', 'a/b', 'a\\b', '..', '']) {
      const error = await rejection(writeAdapter(path('left'), {[name]: new Uint8Array(1)}));
      expect(error?.message).to.equal(`writeAdapter: '${name}' is no name of a file`);
    }
    expect(await readdir(path())).not.to.include('left');
  });

  it('that lacks a file is refused by its path', async () => {
    await mkdir(path('empty'));
    await writeFile(path('empty', 'adapter_config.json'), '{}');
    const error = await rejection(readAdapter(path('empty')));
    expect(error).to.be.instanceOf(FileError);
    expect(error!.message).to.equal(`${path('empty', 'adapter_model.safetensors')} cannot be read (ENOENT)`);
  });
});
