import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {clipByGlobalNorm} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {randomMatrix} from '../reference/matrix.ts';
import {onDevice, workOf} from './profile.ts';

const SHAPES = [[5, 123], [1], [], [3, 4, 5], [257]];

function randomTensors(shapes: number[][] = SHAPES): {tensors: tf.Tensor[]; values: Float64Array[]} {
  const random = randomStream(1);
  const values = shapes.map(
    (shape) =>
      randomMatrix(
        1,
        shape.reduce((size, n) => size * n, 1),
        random,
      ).data,
  );
  return {values, tensors: values.map((data, i) => tf.tensor(Float32Array.from(data), shapes[i]!))};
}

const normOf = (values: Float64Array[]): number =>
  Math.sqrt(values.reduce((sum, data) => sum + data.reduce((part, x) => part + x * x, 0), 0));

describeWithShaders('clipByGlobalNorm', (backend) => {
  onDevice(backend);

  it('scales all tensors together to the norm, and says what it was', async () => {
    const {tensors, values} = randomTensors();
    const expected = normOf(values);
    const {clipped, norm} = clipByGlobalNorm(tensors, 2);
    expect(norm.shape).to.deep.equal([]);
    await expectClose(norm, [expected], 1e-6);
    for (const [i, tensor] of clipped.entries()) {
      expect(tensor.shape).to.deep.equal(SHAPES[i]);
      await expectClose(
        tensor,
        values[i]!.map((x) => (x * 2) / expected),
        1e-6,
      );
    }
  });

  it('leaves every bit where the norm is within bounds, and zeros alone', async () => {
    const {tensors, values} = randomTensors();
    for (const [i, tensor] of clipByGlobalNorm(tensors, normOf(values) + 0.01).clipped.entries()) {
      await expectClose(tensor, values[i]!, 0);
    }
    const {clipped, norm} = clipByGlobalNorm([tf.zeros([3, 2])], 1);
    await expectClose(norm, [0]);
    await expectClose(clipped[0]!, new Float32Array(6), 0);
  });

  it('takes one number, and more numbers than a row of its sum', async () => {
    await expectClose(clipByGlobalNorm([tf.scalar(-4)], 1).clipped[0]!, [-1]);
    for (const size of [4095, 4096, 10_000, 2 ** 22 + 4]) {
      const {norm} = clipByGlobalNorm([tf.fill([size], 2)], 1);
      await expectClose(norm, [2 * Math.sqrt(size)], 1e-6);
    }
  });

  it('passes on what is not finite', async () => {
    const {clipped, norm} = clipByGlobalNorm([tf.tensor1d([1, Number.NaN]), tf.ones([2])], 1);
    for (const tensor of [norm, ...clipped]) {
      expect((await tensor.data()).every(Number.isNaN)).to.equal(true);
    }
    const infinite = clipByGlobalNorm([tf.tensor1d([1, Number.POSITIVE_INFINITY])], 1);
    expect(Array.from(await infinite.norm.data())).to.deep.equal([Number.POSITIVE_INFINITY]);
    expect(Array.from(await infinite.clipped[0]!.data())).to.deep.equal([0, Number.NaN]);
  });

  it('leaves no tensor behind', async () => {
    const {tensors} = randomTensors();
    await expectNoLeaks(() => {
      const {clipped, norm} = clipByGlobalNorm(tensors, 1);
      tf.dispose([clipped, norm]);
    });
  });

  it('runs as few kernels for many tensors as for two, but for the cutting', async function () {
    if (backend !== 'cpu' && backend !== 'wasm') this.skip();
    const counts = async (count: number) => {
      const tensors = Array.from({length: count}, () => tf.ones([3, 4]));
      const {
        [tf.Reshape]: _,
        [tf.SplitV]: cuts,
        ...others
      } = await workOf(() => clipByGlobalNorm(tensors, 1));
      return {cuts: cuts ?? 0, others};
    };
    const [two, many] = [await counts(2), await counts(56)];
    expect(many.others).to.deep.equal(two.others);
    expect(many.cuts).to.equal(backend === 'cpu' ? 1 : 55);
  });

  it('names the argument that does not fit, and its value', () => {
    const clip = (tensors: tf.Tensor[], maxNorm: number) => () => clipByGlobalNorm(tensors, maxNorm);
    expect(clip([], 1)).to.throw('clipByGlobalNorm: tensors must hold at least one, but is empty');
    expect(clip([tf.zeros([2], 'int32')], 1)).to.throw(
      'clipByGlobalNorm: tensors must be float32, but one of shape [2] is int32',
    );
    for (const bad of [0, -1, Number.NaN]) {
      expect(clip([tf.zeros([2])], bad)).to.throw(
        `clipByGlobalNorm: maxNorm must be a number > 0, but is ${bad}`,
      );
    }
  });
});
