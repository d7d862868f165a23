import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {installGradientFixes} from '../../../src/index.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../../backends.ts';
import {randomTensor} from '../../model/models.ts';
import {indexOf, placesOf} from '../../reference/places.ts';

type Op = (x: tf.Tensor) => tf.Tensor;

/** dx of y = op(x) for a dy of its own, and that dy. */
async function gradient(op: Op, shape: number[]): Promise<{dx: tf.Tensor; dy: Float32Array}> {
  const x = randomTensor(shape, 1);
  const dy = tf.tidy(() => randomTensor(op(x).shape, 2));
  const dx = tf.tidy(() => tf.grad(op)(x, dy));
  expect(dx.shape).to.deep.equal(shape);
  return {dx, dy: (await dy.data()) as Float32Array};
}

/** Shapes, and the axes that are reduced; rank 6 is all that a product takes. */
const REDUCTIONS: [number[], number[]][] = [
  [[5, 123, 7], [1]],
  [
    [5, 123, 7],
    [0, 2],
  ],
  [[5, 123, 7], [2]],
  [
    [5, 123, 7],
    [0, 1, 2],
  ],
  [[1, 1], [0]],
  [[1], [0]],
  [
    [2, 3, 1, 4, 2],
    [0, 2, 4],
  ],
  [
    [2, 1, 3, 2, 2, 3],
    [1, 4],
  ],
];

const TILES: [number[], number[]][] = [
  [[4], [3]],
  [
    [3, 5],
    [2, 1],
  ],
  [
    [3, 5],
    [1, 4],
  ],
  [
    [2, 3, 4],
    [2, 3, 2],
  ],
  [
    [1, 1, 1, 1],
    [5, 1, 2, 1],
  ],
  [
    [2, 1, 3, 2],
    [1, 1, 1, 1],
  ],
];

describeBackends('gradients with the fixes', (backend) => {
  let fixes: {dispose(): void};
  before(() => {
    fixes = installGradientFixes();
  });
  after(() => fixes.dispose());

  for (const [shape, axes] of REDUCTIONS) {
    for (const keepDims of [false, true]) {
      it(`of sum and mean are exact: [${shape}] over [${axes}]${keepDims ? ', dimensions kept' : ''}`, async () => {
        const count = axes.reduce((product, axis) => product * shape[axis]!, 1);
        const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
        for (const [op, scale] of [
          [tf.sum, 1],
          [tf.mean, count],
        ] as const) {
          const {dx, dy} = await gradient((x) => op(x, axes, keepDims), shape);
          const expected = placesOf(shape).map((place) => dy[indexOf(kept, place)]! / scale);
          // WebGPU may divide wrongly in the last bits
          if (backend === 'webgpu') await expectClose(dx, expected, 1e-6);
          else expect(await dx.data()).to.deep.equal(Float32Array.from(expected));
        }
      });
    }
  }

  it('of sums of integers and to scalars are those of stock tfjs', async () => {
    const ofInteger = tf.grad((x: tf.Tensor) => tf.cast(tf.sum(tf.cast(x, 'int32')), 'float32'))(
      tf.ones([3, 2]),
    );
    expect(await ofInteger.data()).to.deep.equal(new Float32Array(6).fill(1));
    const negative = tf.grad((x: tf.Tensor) => tf.neg(tf.mean(x)))(tf.ones([4]));
    expect(await negative.data()).to.deep.equal(new Float32Array(4).fill(-0.25));
  });

  for (const [shape, reps] of TILES) {
    it(`of tile is the sum over the copies: [${shape}] × [${reps}]`, async () => {
      const {dx, dy} = await gradient((x) => tf.tile(x, reps), shape);
      const expected = new Float64Array(tf.util.sizeFromShape(shape));
      const tiled = shape.map((size, axis) => size * reps[axis]!);
      for (const [i, place] of placesOf(tiled).entries()) expected[indexOf(shape, place)]! += dy[i]!;
      await expectClose(dx, expected, 1e-5);
    });
  }

  // tfjs's WebGPU reads such a tensor back to tile it
  if (backend !== 'webgpu') {
    it('of tile exists above rank 4', async () => {
      const {dx, dy} = await gradient((x) => tf.tile(x, [2, 1, 1, 1, 3]), [1, 2, 1, 2, 2]);
      const expected = new Float64Array(8);
      for (const [i, place] of placesOf([2, 2, 1, 2, 6]).entries()) {
        expected[indexOf([1, 2, 1, 2, 2], place)]! += dy[i]!;
      }
      await expectClose(dx, expected, 1e-5);
    });
  }

  it('of tile takes at most two kernels an axis', async () => {
    const x = randomTensor([4, 3], 1);
    const dy = randomTensor([4 * 50, 3 * 20], 2);
    const {kernels} = await tf.profile(() =>
      tf.tidy(() => tf.grad((input: tf.Tensor) => tf.tile(input, [50, 20]))(x, dy)),
    );
    const backward = kernels.map(({name}) => name).filter((name) => name !== 'Identity' && name !== 'Tile');
    // reshapes move nothing
    expect(backward.filter((name) => name !== 'Reshape')).to.deep.equal(['Sum', 'Sum']);
  });

  it('of outputs that lead nowhere are zeros', async () => {
    const {dx, dy} = await gradient((x) => tf.split(x, [2, 3, 1], 1)[1]!, [4, 6]);
    const expected = placesOf([4, 6]).map(([i, j]) => (j! >= 2 && j! < 5 ? dy[i! * 3 + j! - 2]! : 0));
    expect(await dx.data()).to.deep.equal(Float32Array.from(expected));
    const unstacked = await gradient((x) => tf.unstack(x)[1]!, [3, 5]);
    expect(await unstacked.dx.data()).to.deep.equal(
      Float32Array.from(placesOf([3, 5]).map(([i, j]) => (i === 1 ? unstacked.dy[j!]! : 0))),
    );
  });

  it('that need shapes alone are those of stock tfjs', async () => {
    const other = randomTensor([5, 1, 3], 9);
    const cases: [Op, number[], (place: number[], dy: Float32Array) => number][] = [
      [
        (x) => tf.add(other, x),
        [4, 3],
        ([j, k], dy) => [0, 1, 2, 3, 4].reduce((sum, i) => sum + dy[i * 12 + j! * 3 + k!]!, 0),
      ],
      [
        (x) => tf.sub(other, x),
        [4, 1],
        ([j], dy) => -dy.reduce((sum, value, i) => sum + (Math.floor(i / 3) % 4 === j ? value : 0), 0),
      ],
      [(x) => tf.addN([x, x]), [2, 3], ([i, j], dy) => 2 * dy[i! * 3 + j!]!],
      [
        (x) => tf.concat([tf.zeros([2, 1]), x, x], 1),
        [2, 3],
        ([i, j], dy) => dy[i! * 7 + 1 + j!]! + dy[i! * 7 + 4 + j!]!,
      ],
      [(x) => tf.slice(x, [1, 0], [1, 2]), [3, 3], ([i, j], dy) => (i === 1 && j! < 2 ? dy[j!]! : 0)],
      [
        (x) =>
          tf.pad(x, [
            [1, 0],
            [0, 2],
          ]),
        [2, 2],
        ([i, j], dy) => dy[(i! + 1) * 4 + j!]!,
      ],
      [(x) => tf.cumsum(x, 0), [4], ([i], dy) => dy.slice(i!).reduce((sum, value) => sum + value, 0)],
      [(x) => tf.reshape(x, [6]), [2, 3], ([i, j], dy) => dy[i! * 3 + j!]!],
      [(x) => tf.expandDims(x, 0), [2, 3], ([i, j], dy) => dy[i! * 3 + j!]!],
    ];
    for (const [op, shape, expected] of cases) {
      const {dx, dy} = await gradient(op, shape);
      await expectClose(
        dx,
        placesOf(shape).map((place) => expected(place, dy)),
        1e-5,
      );
    }
  });

  it('of relu are those of stock tfjs, for infinite numbers and NaN too', async () => {
    const values = [-2, -0, 0, 1e-30, 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    // WebGPU may take NaN for any number
    if (backend === 'cpu') values.push(Number.NaN);
    const dy = [1, -1, 2, -3, 4, 5, 6, 7].slice(0, values.length);
    const dx = tf.grad((x: tf.Tensor) => tf.relu(x))(tf.tensor1d(values), tf.tensor1d(dy));
    const expected = values.map((x, i) => dy[i]! * (Number.isNaN(x) ? x : Number(x > 0)));
    expect(await dx.data()).to.deep.equal(Float32Array.from(expected));
  });

  it('of one-hot vectors are zeros', async () => {
    const {dx} = await gradient((x) => tf.oneHot(tf.cast(x, 'int32'), 3) as tf.Tensor, [4]);
    expect(await dx.data()).to.deep.equal(new Float32Array(4));
  });

  if (backend !== 'wasm') {
    it('of a sum by segments gathers, and gives zeros where nothing was summed', async () => {
      const segments = tf.tensor1d([2, 0, -1, 2], 'int32');
      const {dx, dy} = await gradient((x) => tf.unsortedSegmentSum(x, segments, 3), [4, 2, 3]);
      const expected = placesOf([4, 2, 3]).map(([i, j, k]) => dy[[2, 0, -1, 2][i!]! * 6 + j! * 3 + k!] ?? 0);
      expect(await dx.data()).to.deep.equal(Float32Array.from(expected));
    });
  }

  it('leave nothing behind, and second ones are right', async () => {
    const f = (x: tf.Tensor) => tf.mean(tf.square(tf.sum(tf.tile(tf.mul(x, x), [2, 1]), 0)));
    await expectNoLeaks(async () => {
      const x = tf.tensor2d([[1, 2, 3]]);
      // f = Σ (2x²)² / 3, f' = 16 x³ / 3, f'' = 16 x²
      const second = tf.tidy(() => tf.grad((input: tf.Tensor) => tf.sum(tf.grad(f)(input)))(x));
      await expectClose(second, [16, 64, 144], 1e-5);
      tf.dispose([x, second]);
    });
  });
});

describeBackends('tensors saved for a gradient', (backend) => {
  /** How many buffers are held between the forward and the backward pass. */
  const held = (f: (x: tf.Tensor) => tf.Tensor): number => {
    const x = randomTensor([8, 8], 1);
    let buffers = 0;
    tf.tidy(() => {
      tf.grad((input: tf.Tensor) => {
        const before = tf.memory().numDataBuffers;
        const y = tf.tidy(() => f(input));
        buffers = tf.memory().numDataBuffers - before - 1;
        return y;
      })(x);
    });
    return buffers;
  };

  it('are none where shapes are enough', () => {
    const fixes = installGradientFixes();
    try {
      // the operands of the addition and the sum are nobody else's
      expect(held((x) => tf.sum(tf.add(tf.neg(x), tf.neg(x))))).to.equal(0);
      expect(held((x) => tf.concat([tf.neg(x), tf.neg(x)]))).to.equal(0);
      // what is needed is saved
      expect(held((x) => tf.sum(tf.exp(x)))).to.equal(1);
    } finally {
      fixes.dispose();
    }
  });

  if (backend === 'wasm') {
    it('are no copies', () => {
      const fixes = installGradientFixes();
      try {
        const x = tf.ones([4]);
        const {numDataBuffers} = tf.memory();
        const y = tf.clone(x);
        expect(tf.memory().numDataBuffers).to.equal(numDataBuffers);
        x.dispose();
        expect([...y.dataSync()]).to.deep.equal([1, 1, 1, 1]);
        y.dispose();
      } finally {
        fixes.dispose();
      }
    });
  }
});
