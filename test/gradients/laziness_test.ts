import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  ActivationGradient,
  type CELoRAConfig,
  installGradientFixes,
  type LoRAMatMulArgs,
  loraMatMul,
} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {randomDy, randomProduct, type Sizes, tensorOf, tensorsOf} from '../ops/tensors.ts';
import {lossOf} from './passes.ts';

const sizes: Sizes = {rows: 6, inputs: 40, units: 64, rank: 3, bias: false};
/** What each product of the tape costs in multiply-adds. */
const {rows, inputs, units, rank} = sizes;
const WHOLE = rows * inputs * units;
const LOW = rows * rank * (inputs + units);

interface Work {
  /** How often each kernel ran, forward and backward. */
  counts: Record<string, number>;
  /** Matrix products, and their multiply-adds. */
  products: number;
  multiplyAdds: number;
}

async function workOf(run: () => tf.TensorContainer): Promise<Work> {
  const {kernels} = await tf.profile(() => tf.tidy(run));
  const counts: Record<string, number> = {};
  for (const {name} of kernels) counts[name] = (counts[name] ?? 0) + 1;
  const products = kernels.filter(({name}) => name === tf.BatchMatMul || name === tf._FusedMatMul);
  // |a| · |b| · |ab| is (n·k)(k·m)(n·m), whatever is transposed
  const size = (shape: number[] | null | undefined) => (shape ?? []).reduce((all, n) => all * n, 1);
  const adds = products.map(({inputShapes: [a, b], outputShapes: [ab]}) =>
    Math.round(Math.sqrt(size(a) * size(b) * size(ab))),
  );
  return {counts, products: products.length, multiplyAdds: adds.reduce((sum, n) => sum + n, 0)};
}

describeBackends('laziness', (backend) => {
  // the profiler reads every result, which WebGPU in Node cannot
  before(function () {
    if (backend !== 'cpu' && backend !== 'wasm') this.skip();
  });

  /** The work of a forward and a backward pass of one product for the trained operands. */
  async function work(
    options: Partial<CELoRAConfig> & {rank?: number},
    trained: readonly ('x' | 'kernel' | 'loraA' | 'loraB')[],
    passesBefore = 0,
  ): Promise<Work & {gradient: ActivationGradient}> {
    const product = randomProduct({...sizes, rank: options.rank ?? rank});
    const args: LoRAMatMulArgs & {kernel: tf.Tensor} = tensorsOf(product);
    for (const name of ['x', 'kernel', 'loraA', 'loraB'] as const) {
      if (args[name]) args[name] = tf.variable(args[name], trained.includes(name));
    }
    const gradient = new ActivationGradient({exactEvery: 0, ...options});
    const variables = trained.map((name) => args[name] as tf.Variable);
    const dy = tensorOf(randomDy(sizes));
    const run = () => {
      const {value, grads} = tf.variableGrads(() => lossOf(loraMatMul({...args, gradient}), dy), variables);
      return [value, ...Object.values(grads)];
    };
    for (let i = 0; i < passesBefore; i++) tf.tidy(run);
    return {...(await workOf(run)), gradient};
  }

  it('without adapter: one product forward, one for dx', async () => {
    const {products, multiplyAdds} = await work({rank: 0, keep: 1}, ['x']);
    expect([products, multiplyAdds]).to.deep.equal([2, 2 * WHOLE]);
  });

  it('with adapter: three forward; dyBᵀ, two for dx, one for dA, one for dB', async () => {
    const {products, multiplyAdds} = await work({keep: 1}, ['x', 'loraA', 'loraB']);
    expect(products).to.equal(3 + 5);
    // forward xW, xA, (xA)B; dyBᵀ and its product by Aᵀ; xᵀ(dyBᵀ) and (xA)ᵀdy, whose xA is kept
    expect(multiplyAdds).to.equal(2 * WHOLE + 3 * LOW);
  });

  it('a frozen kernel has no weight gradient, a trained one exactly one product more', async () => {
    const frozen = await work({keep: 1}, ['x', 'loraA', 'loraB']);
    const trained = await work({keep: 1}, ['x', 'kernel', 'loraA', 'loraB']);
    expect(trained.products - frozen.products).to.equal(1);
    expect(trained.multiplyAdds - frozen.multiplyAdds).to.equal(WHOLE);
  });

  it('a first layer computes no dx and selects nothing, whatever keep is', async () => {
    for (const keep of [1, 0.25]) {
      const {products, counts, gradient} = await work({keep}, ['loraA', 'loraB']);
      expect(products).to.equal(3 + 3);
      expect(counts).not.to.have.any.keys('ActivationGrad', 'ApproxActivationGrad', 'SelectColumns', tf.TopK);
      expect(gradient.stats.backwardPasses).to.equal(0);
      expect(gradient.indices).to.equal(undefined);
    }
  });

  it("A's and B's gradients come together, in three products of low rank, whichever is wanted", async () => {
    for (const trained of [['x', 'loraA', 'loraB'], ['x', 'loraA'], ['x', 'loraB'], ['x']] as const) {
      const {products, multiplyAdds} = await work({keep: 1}, trained);
      // forward xW, xA and (xA)B; dyWᵀ and (s dyBᵀ)Aᵀ; the three
      expect(products).to.equal(3 + 2 + 3);
      expect(multiplyAdds).to.equal(2 * WHOLE + 3 * LOW);
    }
  });

  it('s xA, which leads nowhere, is given no zeros for a gradient', async () => {
    const fixes = installGradientFixes();
    const plain = await work({rank: 0, keep: 1}, ['x']);
    const adapted = await work({keep: 1}, ['x', 'loraA', 'loraB']);
    const split = await workOf(() => tf.grad((x) => tf.split(x, 2)[0]!)(tf.ones([4]), tf.ones([2])));
    fixes.dispose();
    expect(split.counts[tf.Fill]).to.equal(1); // the other half's
    expect(adapted.counts[tf.Fill]).to.equal(plain.counts[tf.Fill]);
  });

  it('between refreshes: kept columns, dyB₀ᵀ and one product of both low ranks instead of dyWᵀ', async () => {
    const options = {keep: 0.25, frozenRank: 4, refreshEvery: 10};
    const exact = await work({keep: 1}, ['x', 'loraA', 'loraB']);
    const {products, multiplyAdds, counts, gradient} = await work(options, ['x', 'loraA', 'loraB'], 1);
    expect(products).to.equal(3 + 6);
    expect(counts).to.include({ApproxActivationGrad: 1, [tf.GatherV2]: 1, [tf.Concat]: 2});
    expect(counts).not.to.have.any.keys('ActivationGrad', 'PackColumns', 'SelectColumns', tf.TopK);
    const kept = rows * inputs * gradient.stats.kept;
    const frozen = rows * 4 * (inputs + units);
    expect(multiplyAdds).to.equal(exact.multiplyAdds - WHOLE + kept + frozen);
    // the counters say what the products came to: two passes
    expect(gradient.stats.multiplyAdds).to.equal(2 * WHOLE);
    expect(gradient.stats.savedMultiplyAdds).to.equal(2 * (WHOLE - kept - frozen));
    gradient.dispose();
  });

  it('without adapter and frozen factors: the kept columns alone', async () => {
    const {products, multiplyAdds, gradient} = await work({rank: 0, keep: 0.25, frozenRank: 0}, ['x'], 1);
    expect([products, multiplyAdds]).to.deep.equal([2, WHOLE + WHOLE / 4]);
    gradient.dispose();
  });

  it('with a trained kernel: the columns are gathered afresh, and nothing else', async () => {
    const {products, counts, gradient} = await work({rank: 0, keep: 0.25}, ['x', 'kernel'], 1);
    expect(products).to.equal(1 + 2);
    expect(counts).to.include({PackColumns: 1, ApproxActivationGrad: 1, [tf.GatherV2]: 2});
    expect(counts).not.to.have.any.keys('SelectColumns', tf.TopK);
    gradient.dispose();
  });

  it('with sampled rows: as many products as exact, on fewer rows', async () => {
    const {products, multiplyAdds, counts} = await work({rank: 0, keep: 0.5, axis: 'rows'}, ['x']);
    expect([products, multiplyAdds]).to.deep.equal([2, WHOLE + WHOLE / 2]);
    expect(counts).to.include({SampleRows: 1, SampledActivationGrad: 1});
  });

  it('a refresh selects once, and factors only the first time', async () => {
    const options = {keep: 0.25, frozenRank: 4, refreshEvery: 2};
    const later = await work(options, ['x'], 2);
    expect(later.counts).to.include({SelectColumns: 1, ColumnScores: 1, PackColumns: 1});
    const first = await work(options, ['x']);
    expect(first.counts).to.include({SelectColumns: 1, ColumnScores: 1, PackColumns: 1});
    expect(first.counts).to.include({InverseCholesky: 10});
    expect(later.counts).not.to.have.property('InverseCholesky');
    for (const {gradient} of [first, later]) gradient.dispose();
  });
});
