import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {expect} from 'chai';

const PROGRAM = `
const {chooseBackend} = await import('./src/node.ts');
const {backend, reason} = await chooseBackend();
console.log(JSON.stringify({backend, reason}));
process.exit(0);
`;

describe('chooseBackend on Linux without a GPU', () => {
  it('passes WebGPU over without a word on stderr', function () {
    if (
      process.platform !== 'linux' ||
      ['/dev/dri', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path))
    ) {
      this.test!.title += ': not this machine';
      this.skip();
    }
    // the tests' own processes may offer SwiftShader, as a driver that is named
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VK_')));
    const {status, stdout, stderr} = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type', 'module', '--eval', PROGRAM],
      {encoding: 'utf8', timeout: 60_000, env},
    );
    expect(status, stderr.slice(-1000)).to.equal(0);
    const {backend, reason} = JSON.parse(stdout.slice(stdout.lastIndexOf('{')));
    expect(backend).to.not.equal('webgpu');
    expect(reason).to.include('WebGPU finds no adapter');
    expect(stderr).to.not.match(/Vulkan/);
  });
});
