import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import * as names from '../../../src/kernels/kernel_names.ts';
import {runKernel} from '../../../src/kernels/register.ts';
import * as training from '../../../src/kernels/training_kernel_names.ts';
import * as transformer from '../../../src/kernels/transformer_kernel_names.ts';
import {describeOwnOps, expectClose, expectNoLeaks} from '../../backends.ts';
import {withFlag} from '../../support/flags.ts';
import {watchOps} from '../../support/tensorflow_ops.ts';
import {
  adapter,
  CASES,
  type Case,
  factors,
  IN,
  type Inputs,
  indices,
  K,
  OUT,
  RANK,
  ROWS,
  random,
} from './cases.ts';

const FLAG = 'CELORA_TENSORFLOW_OPS';

/** Runs a kernel on our ops or on stock ones; the tensors it makes are the caller's. */
const results = ({kernel, attrs = {}}: Case, inputs: Inputs, own: boolean): tf.Tensor[] =>
  withFlag(FLAG, own, () => [runKernel<tf.Tensor | tf.Tensor[]>(kernel, inputs, attrs)].flat());

/** Names of the TensorFlow ops that `body` runs. */
function opsOf(body: () => void): string[] {
  const watch = watchOps()!;
  try {
    body();
    return watch.ops;
  } finally {
    watch.dispose();
  }
}

describeOwnOps('ops beside the stock ones', () => {
  for (const example of CASES) {
    it(`${example.kernel} ${example.attrs ? JSON.stringify(example.attrs).slice(0, 80) : ''}`, async () => {
      const inputs = example.inputs();
      const expected = results(example, inputs, false);
      const actual = results(example, inputs, true);
      expect(actual.map(({shape, dtype}) => ({shape, dtype}))).to.deep.equal(
        expected.map(({shape, dtype}) => ({shape, dtype})),
      );
      for (const [i, tensor] of actual.entries()) {
        await expectClose(tensor, await expected[i]!.data(), example.exact ? 0 : 2e-5);
      }
    });
  }

  it('are one op a kernel', () => {
    for (const example of CASES) {
      const inputs = example.inputs();
      const ops = opsOf(() => results(example, inputs, true));
      const isClone = (example.attrs as {score?: string} | undefined)?.score === 'weight';
      expect(ops, example.kernel).to.have.length(isClone ? 0 : 1);
      if (!isClone) expect(ops[0]).to.match(/^Celora\d/);
    }
  });

  /** dx of the same columns by our ops and by stock ones. */
  async function expectSameGradient(
    kernel: tf.Tensor,
    chosen: tf.Tensor,
    frozen: object,
    adapted: object,
    transposed = false,
  ) {
    const dy = random([ROWS, OUT], 2);
    const gradient = (own: boolean) => {
      const pack = {kernel: names.PackColumns, inputs: () => ({}), attrs: {transposed}};
      const [packed] = results(pack, {kernel, indices: chosen, ...frozen}, own) as [tf.Tensor];
      const grad = {kernel: names.ApproxActivationGrad, inputs: () => ({})};
      return results(grad, {dy, indices: chosen, packed, ...frozen, ...adapted}, own)[0]!;
    };
    await expectClose(gradient(true), await gradient(false).data(), 2e-5);
  }

  for (const transposed of [false, true]) {
    // ranks of one tile and of more, and adapters that fit beside the packed columns and that do not
    it(`pack columns for the approximated gradient${transposed ? ' of a turned kernel' : ''}`, async () => {
      const kernel = random(transposed ? [OUT, IN] : [IN, OUT], 1);
      for (const frozen of [{}, factors(), factors(16), factors(20)]) {
        for (const adapted of [{}, adapter(), adapter(40)]) {
          await expectSameGradient(kernel, indices(K, OUT), frozen, adapted, transposed);
        }
      }
    });
  }

  it('approximate by columns that do not ascend, and by one taken twice', async () => {
    const kernel = random([IN, OUT], 1);
    for (const chosen of [
      [1099, 0, 300, 7],
      [5, 5, 900],
    ]) {
      await expectSameGradient(kernel, tf.tensor1d(chosen, 'int32'), factors(), adapter());
    }
  });

  it('write an adapter beside the packed columns that leaves no trace in the next gradient', async () => {
    const [kernel, dy, chosen, frozen] = [
      random([IN, OUT], 1),
      random([ROWS, OUT], 2),
      indices(K, OUT),
      factors(),
    ];
    const [packed] = results(
      {kernel: names.PackColumns, inputs: () => ({}), attrs: {transposed: false}},
      {kernel, indices: chosen, ...frozen},
      true,
    ) as [tf.Tensor];
    const gradient = (adapted: object) =>
      results(
        {kernel: names.ApproxActivationGrad, inputs: () => ({})},
        {dy, indices: chosen, packed, ...frozen, ...adapted},
        true,
      )[0]!;
    const expected = await gradient({}).data();
    gradient({loraA: tf.fill([IN, RANK], Number.NaN), loraDy: random([ROWS, RANK], 8)});
    await expectClose(gradient({}), expected, 0);
  });

  it('take texts and rows in the shape in which their data lie, and need no Reshape', async () => {
    const lying = (shape: number[], seed: number) => tf.add(random(shape, seed), 0);
    const [x, dy] = [tf.reshape(lying([2, 3, 8], 1), [6, 8]), tf.reshape(lying([2, 3, 12], 2), [6, 12])];
    const text = (seed: number) => tf.reshape(lying([6, 8], seed), [2, 3, 8]);
    const [w, loraA, loraB] = [random([8, 12], 3), random([8, 2], 4), random([2, 12], 5)];
    const attention = {numHeads: 2, numKvHeads: 2, scale: 0.5};
    const [q, k, v, dText] = [6, 7, 8, 9].map(text) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    const [y, logSumExp] = results(
      {kernel: transformer.CausalAttention, inputs: () => ({}), attrs: attention},
      [q, k, v],
      true,
    ) as [tf.Tensor, tf.Tensor];
    const cases: [string, Inputs, object][] = [
      [
        names.LoRAMatMul,
        [x, w, loraA, loraB],
        {hasBias: false, hasAdapter: true, scale: 2, activation: 'linear'},
      ],
      [names.LoRAGrad, {x, dy, loraX: random([6, 2], 13), loraB}, {scale: 2}],
      [names.ActivationGrad, {dy, kernel: w}, {transposed: false}],
      [names.ColumnScores, {dy, norms: random([12], 10)}, {score: 'product'}],
      [
        transformer.RotaryEmbedding,
        {x: q, cos: random([3, 2], 11), sin: random([3, 2], 12)},
        {pairing: 'half', inverse: false},
      ],
      [transformer.CausalAttention, [q, k, v], attention],
      [transformer.CausalAttentionGrad, {dy: dText, q, k, v, y, logSumExp}, attention],
    ];
    for (const [kernel, inputs, attrs] of cases) {
      const example = {kernel, inputs: () => inputs, attrs};
      let actual: tf.Tensor[] = [];
      const ops = opsOf(() => {
        actual = results(example, inputs, true);
      });
      expect(ops, kernel).to.have.length(1);
      for (const [i, expected] of results(example, inputs, false).entries()) {
        expect(actual[i]!.shape, kernel).to.deep.equal(expected.shape);
        await expectClose(actual[i]!, await expected.data(), 2e-5);
      }
    }
  });
});

describeOwnOps('ops run often', () => {
  it('leave no tensors and no memory behind in 10,000 calls', async function () {
    this.timeout(60_000);
    const example = CASES.find(({kernel}) => kernel === training.AdamWStep)!;
    const names = ['params', 'grads', 'm', 'v'];
    const inputs = Object.fromEntries(names.map((name) => [name, tf.ones([4])]));
    let step = 0;
    const many = (count: number) => {
      for (let i = 0; i < count; i++) {
        step++; // its rates differ at every step
        const attrs = {...example.attrs, decayed: 4, step};
        tf.dispose(results({...example, attrs}, inputs, true));
      }
    };
    // TensorFlow's: JavaScript's heap grows and shrinks by what other tests left
    const bytes = () => {
      const {rss, heapTotal, external} = process.memoryUsage();
      return rss - heapTotal - external;
    };
    many(2000);
    const before = bytes();
    await expectNoLeaks(() => many(10_000));
    expect(bytes() - before, 'bytes').to.be.below(20e6);
  });
});
