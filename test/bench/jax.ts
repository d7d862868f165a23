import {blockUntilReady, defaultDevice, init, jit, numpy as np, random} from '@jax-js/jax';
import * as tf from '@tensorflow/tfjs-core';
import {activationGrad, deviceRandomUniform} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {productSizes, repeated, requireWebGPU, type Suite, sideBySide} from './suite.ts';

const SHAPES = ['2048,4096,11008'];
/** Runs of a product in one measurement, as in the suite 'gradient'. */
const REPEATS = 10;

/** Mean of dx where both factors are uniform in 0 … 1: out / 4, within what so many numbers scatter. */
async function check(dx: np.Array, out: number): Promise<void> {
  const mean = (await np.mean(dx).data())[0]!;
  if (!(Math.abs(mean / out - 0.25) < 0.05))
    throw new Error(`jax-js: the mean of dx is ${mean}, not ${out / 4}`);
}

/** Starts jax-js, which is written for browsers: Node 20 does not say what it is. */
async function startJax(): Promise<void> {
  if (navigator.userAgent === undefined) Object.defineProperty(navigator, 'userAgent', {value: 'Node.js'});
  if (!(await init('webgpu')).includes('webgpu')) throw new Error('jax-js finds no WebGPU');
  defaultDevice('webgpu');
}

/**
 * The exact activation gradient dy · Wᵀ of the suite 'gradient', in turn by jax-js, a peer with WebGPU kernels of its own on
 * a device of its own, by stock tfjs and by us.
 */
export const jaxSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  requireWebGPU('jax');
  await startJax();
  const all: object[] = [];
  for (const shape of shapes) {
    const [rows, inputs, out] = productSizes(shape);
    const [dy, kernel] = [
      random.uniform(random.key(1), [rows, out]),
      random.uniform(random.key(2), [inputs, out]),
    ];
    const product = jit((a: np.Array, b: np.Array) => np.matmul(a, np.matrixTranspose(b)));
    const run = () => product(dy.ref, kernel.ref);
    await check(run(), out);
    // each is waited for: what is disposed before it is needed may never be computed
    const jax = async () => {
      const products = Array.from({length: REPEATS}, run);
      await blockUntilReady(products);
      for (const made of products) made.dispose();
    };
    tf.engine().startScope();
    const ours = {
      dy: deviceRandomUniform([rows, out], 1) as tf.Tensor2D,
      kernel: deviceRandomUniform([inputs, out], 2) as tf.Tensor2D,
    };
    const total = await sideBySide(
      {
        'jax-js': jax,
        'stock tfjs': () => repeated(() => tf.matMul(ours.dy, ours.kernel, false, true), REPEATS),
        ours: () => repeated(() => activationGrad(ours), REPEATS),
      },
      rounds,
    );
    tf.engine().endScope();
    for (const array of [dy, kernel]) array.dispose();
    const ms = Object.fromEntries(Object.entries(total).map(([name, sum]) => [name, sum / REPEATS]));
    const teraflops = (each: number) => (2 * rows * inputs * out) / each / 1e9;
    say(`\n[${rows}, ${out}] · [${inputs}, ${out}]ᵀ (median of ${rounds} × ${REPEATS})`);
    say(
      formatTable([
        ['', 'ms', 'TFLOP/s'],
        ...Object.entries(ms).map(([name, each]) => [name, each.toFixed(3), teraflops(each).toFixed(1)]),
      ]),
    );
    all.push({rows, inputs, out, ms});
  }
  return all;
};
