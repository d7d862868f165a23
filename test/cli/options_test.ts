import {resolve} from 'node:path';
import {expect} from 'chai';
import {readArguments} from '../../src/cli/options.ts';

describe('the command line of tfjs-celora', () => {
  it('has the defaults that it says it has', () => {
    const defaults = {version: '2.20.0', project: process.cwd(), wheels: []};
    expect(readArguments(['setup', 'tensorflow'])).to.deep.equal({command: 'setup', options: defaults});
    expect(readArguments(['doctor'])).to.deep.equal({
      command: 'doctor',
      options: {project: process.cwd()},
      json: false,
    });
  });

  it('takes every option', () => {
    const setup =
      '--gpu --tf 2.19.1 --dir a --index-url http://here/simple --wheel b.whl --wheel c.whl --binding d.node';
    expect(readArguments(['setup', 'tensorflow', ...setup.split(' ')])).to.deep.equal({
      command: 'setup',
      options: {
        build: 'gpu',
        version: '2.19.1',
        project: resolve('a'),
        indexUrl: 'http://here/simple',
        wheels: [resolve('b.whl'), resolve('c.whl')],
        binding: resolve('d.node'),
      },
    });
    expect(readArguments(['doctor', '--json', '--backend', 'wasm', '--dir', 'a'])).to.deep.equal({
      command: 'doctor',
      options: {project: resolve('a'), wanted: 'wasm'},
      json: true,
    });
  });

  it('shows its help', () => {
    for (const args of [[], ['--help'], ['setup', 'tensorflow', '-h']]) {
      expect(readArguments(args)).to.deep.equal({command: 'help'});
    }
  });

  it('says which argument is wrong', () => {
    const cases: [string, RegExp][] = [
      ['install', /^there is no command 'install'$/],
      ['setup webgpu', /^there is no command 'setup webgpu'$/],
      ['setup tensorflow --cpu --gpu', /exclude each other/],
      ['setup tensorflow --index-url here', /--index-url must be an address, but is 'here'/],
      ['setup tensorflow --cuda', /Unknown option '--cuda'/],
      ['setup tensorflow 2.20.0', /Unexpected argument '2\.20\.0'/],
      ['doctor --backend cuda', /--backend must be one of webgpu, tensorflow, wasm, cpu, but is 'cuda'/],
    ];
    for (const [line, message] of cases) expect(() => readArguments(line.split(' ')), line).to.throw(message);
  });
});
