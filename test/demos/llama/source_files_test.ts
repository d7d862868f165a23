import {expect} from 'chai';
import {pickedFiles} from '../../../demos/llama/source_files.ts';
import {expectModelError} from './fixtures.ts';

/** A file of a folder that was chosen in a browser; Node's own have no such paths. */
function file(path: string, content = path): File {
  const picked = new File([content], path.split('/').at(-1)!);
  return Object.defineProperty(picked, 'webkitRelativePath', {value: path.includes('/') ? path : ''});
}

const text = async (bytes: Promise<Uint8Array>) => new TextDecoder().decode(await bytes);
const attempt = async (files: File[]) => pickedFiles(files);

describe('pickedFiles', () => {
  it('reads parts of files that were picked alone', async () => {
    const files = pickedFiles([file('config.json', '{}'), file('model.safetensors', 'abcdef')]);
    expect(await files.size('model.safetensors')).to.equal(6);
    expect(await files.size('tokenizer.json')).to.equal(undefined);
    expect(await text(files.read('model.safetensors', 2, 4))).to.equal('cd');
    expect(await text(files.read('model.safetensors', 4))).to.equal('ef');
    expect(await text(files.read('config.json'))).to.equal('{}');
  });

  it('takes the files of the folder whose config.json is nearest to the top', async () => {
    const files = pickedFiles([
      file('models/llama/onnx/config.json'),
      file('models/llama/onnx/tokenizer.json'),
      file('models/llama/config.json'),
      file('models/llama/model-00001-of-00002.safetensors'),
      file('models/llama/model-00002-of-00002.safetensors'),
      file('models/README.md'),
    ]);
    expect(await text(files.read('config.json'))).to.equal('models/llama/config.json');
    expect(await files.size('model-00002-of-00002.safetensors')).to.be.greaterThan(0);
    expect(await files.size('tokenizer.json')).to.equal(undefined);
    expect(await files.size('README.md')).to.equal(undefined);
  });

  it('says what is wrong', async () => {
    await expectModelError(attempt([]), /^config\.json is missing: .* but this is nothing$/);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await expectModelError(attempt(names.map((name) => file(name))), /but this is a, b, c, d, e, …$/);
    const twice = [file('config.json'), file('model.safetensors'), file('model.safetensors')];
    await expectModelError(attempt(twice), /^model\.safetensors is there twice$/);
    const files = pickedFiles([file('config.json', '{}')]);
    await expectModelError(files.read('config.json', 0, 3), /^config\.json ends at byte 2, before 3$/);
    await expectModelError((async () => files.read('other'))(), /^other is missing from the model's files$/);
    const gone = Object.assign(file('config.json', '{}'), {
      slice: () => ({arrayBuffer: () => Promise.reject(new Error('NotReadableError'))}),
    });
    await expectModelError(pickedFiles([gone]).read('config.json'), /it was changed or removed since/);
  });
});
