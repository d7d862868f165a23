import {spawnSync} from 'node:child_process';
import {expect} from 'chai';

// in a process of its own, for a process has one wasm backend, and this one believes that it has eight cores
const PROGRAM = `
import os from 'node:os';
import {syncBuiltinESMExports} from 'node:module';
const [core] = os.cpus();
os.cpus = () => Array(8).fill(core);
os.availableParallelism = () => 8;
syncBuiltinESMExports();
const tf = await import('@tensorflow/tfjs-core');
const {setUpWasm} = await import('./src/node.ts');
const threads = await setUpWasm();
const a = tf.mod(tf.reshape(tf.range(0, 300 * 200), [300, 200]), 7);
const b = tf.mod(tf.reshape(tf.range(0, 200 * 100), [200, 100]), 5);
let refused;
try {
  tf.fill([5 * 2 ** 28], 1);
} catch (error) {
  refused = error.message;
}
const wasm = await tf.matMul(a, b).data();
const [x, y] = [await a.data(), await b.data()];
await import('@tensorflow/tfjs-backend-cpu');
await tf.setBackend('cpu');
const cpu = await tf.matMul(tf.tensor2d(x, [300, 200]), tf.tensor2d(y, [200, 100])).data();
console.log(JSON.stringify({threads, worker: typeof Worker, refused, equal: cpu.every((value, i) => value === wasm[i])}));
`;

describe('setUpWasm', () => {
  it('computes on threads where there are cores for them, refuses what there is no memory for, and lets the process end', () => {
    const {status, stdout, stderr} = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type', 'module', '--eval', PROGRAM],
      {encoding: 'utf8', timeout: 60_000},
    );
    expect(status, stderr.slice(-1000)).to.equal(0);
    const result = JSON.parse(stdout.slice(stdout.lastIndexOf('{')));
    expect(result).to.deep.equal({
      threads: 4,
      worker: typeof Worker,
      refused: 'out of memory: WebAssembly has no 5368709120 bytes left',
      equal: true,
    });
  });
});
