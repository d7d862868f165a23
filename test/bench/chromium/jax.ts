import {blockUntilReady, defaultDevice, init, jit, numpy as np, random} from '@jax-js/jax';
import {formatTable} from '../../../src/model/table.ts';
import {type Suite, sideBySide} from '../suite.ts';

const SHAPES = ['2048,4096,11008'];
/** Runs of a product in one measurement, as in the suite 'gradient'. */
const REPEATS = 10;

/** Mean of dx where both factors are uniform in 0 … 1: out / 4, within what so many numbers scatter. */
async function check(dx: np.Array, out: number): Promise<void> {
  const mean = (await np.mean(dx).data())[0]!;
  if (!(Math.abs(mean / out - 0.25) < 0.05))
    throw new Error(`jax-js: the mean of dx is ${mean}, not ${out / 4}`);
}

/** jax-js, a peer with WebGPU kernels of its own: the exact activation gradient dy · Wᵀ of the suite 'gradient'. */
export const jaxSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  if (!(await init('webgpu')).includes('webgpu')) throw new Error('jax-js finds no WebGPU');
  defaultDevice('webgpu');
  const all: object[] = [];
  for (const shape of shapes) {
    const [rows, inputs, out] = shape.split(',').map(Number) as [number, number, number];
    const dy = random.uniform(random.key(1), [rows, out]);
    const kernel = random.uniform(random.key(2), [inputs, out]);
    const product = jit((a: np.Array, b: np.Array) => np.matmul(a, np.matrixTranspose(b)));
    const run = () => product(dy.ref, kernel.ref);
    await check(run(), out);
    const repeated = async () => {
      for (let i = 1; i < REPEATS; i++) run().dispose();
      const last = await blockUntilReady(run());
      last.dispose();
    };
    const {jax} = await sideBySide({jax: repeated}, rounds);
    const ms = jax! / REPEATS;
    const teraflops = (2 * rows * inputs * out) / ms / 1e9;
    say(`\njax-js, [${rows}, ${out}] · [${inputs}, ${out}]ᵀ (median of ${rounds} × ${REPEATS})`);
    say(
      formatTable([
        ['', 'ms', 'TFLOP/s'],
        ['dx', ms.toFixed(3), teraflops.toFixed(1)],
      ]),
    );
    all.push({rows, inputs, out, ms, teraflops});
    for (const array of [dy, kernel]) array.dispose();
  }
  return all;
};
