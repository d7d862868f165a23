import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {AdamW, type AdamWOptions} from '../../src/index.ts';
import {runKernel} from '../../src/kernels/register.ts';
import {AdamWStep} from '../../src/kernels/training_kernel_names.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {onDevice, workOf} from '../ops/profile.ts';
import {type AdamWSettings, adamwStep, weight} from '../reference/adamw.ts';
import {randomMatrix} from '../reference/matrix.ts';

const DEFAULTS: AdamWSettings = {beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01};
const SHAPES = [[5, 123], [7], [], [1, 1], [3, 4, 2]];

const sizeOf = (shape: number[]): number => shape.reduce((size, n) => size * n, 1);
const randomValues = (shape: number[], seed: number): Float64Array =>
  randomMatrix(1, sizeOf(shape), randomStream(seed)).data;
const tensorOf = (values: Float64Array, shape: number[]): tf.Tensor =>
  tf.tensor(Float32Array.from(values), shape);
const variableOf = (shape: number[], seed: number, name?: string): tf.Variable =>
  tf.tidy(() => tf.variable(tensorOf(randomValues(shape, seed), shape), true, name));

/** The gradient of variable i at a step, of very different sizes, some numbers 0. */
const gradientAt = (shape: number[], i: number, step: number): Float64Array =>
  randomValues(shape, 1000 * step + i).map((g, j) => Math.fround(j % 5 === 3 ? 0 : g * 10 ** ((i % 3) - 1)));

const named = (variables: tf.Variable[], step: number, absent: number[] = []) =>
  variables.map(({name, shape}, i) => ({
    name,
    tensor: absent.includes(i) ? (null as unknown as tf.Tensor) : tensorOf(gradientAt(shape, i, step), shape),
  }));

/** Variables' names are unique over all backends. */
let count = 0;

describeWithShaders('AdamW', (backend) => {
  onDevice(backend);
  /** Variables of all shapes; the odd ones are named so that `noDecay` matches. */
  const variablesOf = (shapes = SHAPES): tf.Variable[] =>
    shapes.map((shape, i) => variableOf(shape, i + 1, `${count++}/${i % 2 === 1 ? 'bias' : 'kernel'}`));

  const CASES: [string, AdamWOptions][] = [
    ['defaults', {}],
    ['no decay', {weightDecay: 0}],
    ['decay of some', {weightDecay: 0.3, noDecay: /bias$/g}],
    ['decay of none', {weightDecay: 0.3, noDecay: /./}],
    ['clipping', {clipNorm: 3}],
    ['others', {beta1: 0, beta2: 0.9, epsilon: 1e-3, weightDecay: 0.1, clipNorm: 100}],
  ];
  for (const [title, options] of CASES) {
    it(`equals the formula in float64 over 20 steps: ${title}`, async () => {
      const variables = variablesOf();
      const weights = variables.map(({shape, name}, i) =>
        weight(randomValues(shape, i + 1), !options.noDecay || name.search(options.noDecay) < 0),
      );
      const optimizer = new AdamW(0.5, options);
      for (let step = 1; step <= 20; step++) {
        const learningRate = 0.1 / step;
        optimizer.learningRate = learningRate;
        tf.tidy(() => optimizer.applyGradients(named(variables, step)));
        const gradients = SHAPES.map((shape, i) => gradientAt(shape, i, step));
        adamwStep(weights, gradients, step, learningRate, {...DEFAULTS, ...options} as AdamWSettings);
      }
      expect(optimizer.iterations).to.equal(20);
      for (const [i, variable] of variables.entries()) await expectClose(variable, weights[i]!.values, 2e-6);
      optimizer.dispose();
    });
  }

  it('decays as many of the numbers as it is told, wherever they end', async () => {
    const attrs = {learningRate: 1, beta1: 0.9, beta2: 0.9, epsilon: 1, weightDecay: 0.5, step: 1};
    const [zeros, ones] = [tf.zeros([8]), tf.ones([8])];
    for (const decayed of [0, 3, 5, 8]) {
      const inputs = {params: ones, grads: zeros, m: zeros, v: zeros};
      const [params] = runKernel<tf.Tensor[]>(AdamWStep, inputs, {...attrs, decayed});
      await expectClose(params!, [...new Array(decayed).fill(0.5), ...new Array(8 - decayed).fill(1)]);
    }
  });

  it("equals tfjs's Adam without decay, within rounding", async () => {
    const [ours, stock] = [variablesOf(), variablesOf()];
    const [adamW, adam] = [
      new AdamW(0.01, {weightDecay: 0, epsilon: 1e-7}),
      tf.train.adam(0.01, 0.9, 0.999, 1e-7),
    ];
    for (let step = 1; step <= 20; step++) {
      tf.tidy(() => adamW.applyGradients(named(ours, step)));
      tf.tidy(() => adam.applyGradients(named(stock, step)));
    }
    for (const [i, variable] of ours.entries()) await expectClose(variable, await stock[i]!.data(), 2e-6);
    for (const optimizer of [adamW, adam]) optimizer.dispose();
  });

  it('leaves a variable without a gradient as it is, and takes it and new ones in later', async () => {
    const variables = variablesOf();
    const weights = variables.map(({shape}, i) => weight(randomValues(shape, i + 1)));
    const optimizer = new AdamW(0.01);
    // absent at each step; the last two variables appear at the fourth
    const absent = [[], [1], [0, 2], [], [3], []];
    for (const [i, missing] of absent.entries()) {
      const shown = variables.slice(0, i < 3 ? -2 : undefined);
      tf.tidy(() => optimizer.applyGradients(named(shown, i, missing)));
      const gradients = shown.map(({shape}, at) =>
        missing.includes(at) ? undefined : gradientAt(shape, at, i),
      );
      adamwStep(weights, gradients, i + 1, 0.01, DEFAULTS);
      for (const [at, variable] of variables.entries()) {
        await expectClose(variable, weights[at]!.values, 2e-6);
      }
    }
    expect(optimizer.iterations).to.equal(absent.length);
    optimizer.applyGradients([]);
    optimizer.applyGradients(named(variables, 7, [0, 1, 2, 3, 4]));
    for (const [at, variable] of variables.entries()) await expectClose(variable, weights[at]!.values, 2e-6);
    optimizer.dispose();
  });

  it('goes on from values assigned from outside, and forgets variables that were disposed', async () => {
    const variables = variablesOf();
    const weights = variables.map(({shape}, i) => weight(randomValues(shape, i + 1)));
    const optimizer = new AdamW(0.01);
    const step = (t: number, from: number) => {
      tf.tidy(() => optimizer.applyGradients(named(variables, t).slice(from)));
      const gradients = SHAPES.map((shape, i) => (i < from ? undefined : gradientAt(shape, i, t)));
      adamwStep(weights, gradients, t, 0.01, DEFAULTS);
    };
    step(1, 0);
    tf.tidy(() => variables[1]!.assign(tf.fill([7], 5)));
    weights[1]!.values.fill(5);
    step(2, 0);
    for (const [i, variable] of variables.entries()) await expectClose(variable, weights[i]!.values, 2e-6);
    variables[0]!.dispose();
    step(3, 1);
    for (const [i, variable] of [...variables.entries()].slice(1)) {
      await expectClose(variable, weights[i]!.values, 2e-6);
    }
    expect((await optimizer.getWeights()).length).to.equal(1 + 2 * 4);
    optimizer.dispose();
  });

  it('minimises, over all trainable variables or some', async () => {
    const [a, b] = [variableOf([3], 1), variableOf([3], 2)];
    const optimizer = new AdamW(0.1, {weightDecay: 0});
    const before = await b.data();
    const loss = () => tf.sum(tf.square(tf.sub(a, tf.mul(b, 0.5)))) as tf.Scalar;
    const costs: number[] = [];
    for (let step = 0; step < 60; step++) {
      const cost = optimizer.minimize(loss, true, [a])!;
      costs.push((await cost.data())[0]!);
      cost.dispose();
    }
    expect(costs.at(-1)!).to.be.below(costs[0]! / 100);
    expect(await b.data()).to.deep.equal(before);
    expect(optimizer.minimize(loss)).to.equal(null);
    expect(await b.data()).not.to.deep.equal(before);
    optimizer.dispose();
  });

  it('keeps its tensors flat over steps of changing variables, and frees all', async () => {
    const variables = variablesOf();
    const optimizer = new AdamW(0.01, {clipNorm: 1, noDecay: /bias/});
    const step = (t: number, absent: number[]) =>
      tf.tidy(() => optimizer.applyGradients(named(variables, t, absent)));
    await expectNoLeaks(async () => {
      for (let round = 0; round < 2; round++) {
        step(1, []);
        const settled = tf.memory();
        for (let t = 2; t < 8; t++) step(t, []);
        expect(tf.memory().numTensors).to.equal(settled.numTensors);
        expect(tf.memory().numDataBuffers).to.equal(settled.numDataBuffers);
        step(8, [1, 4]);
        step(9, []);
        expect(tf.memory().numTensors).to.equal(settled.numTensors);
        expect(tf.memory().numDataBuffers).to.equal(settled.numDataBuffers);
        await optimizer.getWeights();
        await optimizer.setWeights(await optimizer.getWeights());
        optimizer.dispose();
      }
    });
  });

  it('takes as many kernels for 56 variables as for two, but for the cutting', async function () {
    // the profiler reads every result, which WebGPU in Node cannot
    if (backend !== 'cpu' && backend !== 'wasm') this.skip();
    const counts = async (size: number, optimizer: tf.Optimizer) => {
      const variables = variablesOf(Array.from({length: size}, () => [16, 4]));
      const gradients = variables.map(({name}) => ({name, tensor: tf.ones([16, 4])}));
      optimizer.applyGradients(gradients);
      const {
        [tf.Reshape]: _,
        [tf.Identity]: __,
        ...work
      } = await workOf(() => optimizer.applyGradients(gradients));
      optimizer.dispose();
      return work;
    };
    const total = (work: Record<string, number>) => Object.values(work).reduce((sum, n) => sum + n, 0);
    const options = {clipNorm: 1, noDecay: /bias/};
    const {[tf.SplitV]: fewCuts, ...few} = await counts(2, new AdamW(0.01, options));
    const {[tf.SplitV]: cuts, ...many} = await counts(56, new AdamW(0.01, options));
    expect(many).to.deep.equal(few);
    // wasm cuts by halves; one more cut is that of the decaying part
    expect([fewCuts, cuts]).to.deep.equal(backend === 'wasm' ? [2, 56] : [2, 2]);
    expect(total(many)).to.be.below(35);
    expect(total(await counts(56, tf.train.adam(0.01)))).to.be.above(700);
  });

  it('names the option that is wrong, and its value', () => {
    const bad = (options: object, message: string, rate?: number) =>
      expect(() => new AdamW(rate, options as AdamWOptions)).to.throw(`AdamW: ${message}`);
    bad({}, 'learningRate must be a finite number ≥ 0, but is -1', -1);
    bad({}, 'learningRate must be a finite number ≥ 0, but is NaN', Number.NaN);
    bad({beta1: 1}, 'beta1 must be a number from 0 to below 1, but is 1');
    bad({beta2: -0.1}, 'beta2 must be a number from 0 to below 1, but is -0.1');
    bad({epsilon: 0}, 'epsilon must be a finite number > 0, but is 0');
    bad({weightDecay: '1'}, "weightDecay must be a finite number ≥ 0, but is '1'");
    bad({clipNorm: 0}, 'clipNorm must be a finite number > 0, but is 0');
    bad({noDecay: 'bias'}, "noDecay must be a RegExp, but is 'bias'");
    bad({decay: 1}, 'unknown option decay (1)');
    const gradients = [{name: 'nobody', tensor: tf.ones([1])}];
    expect(() => new AdamW().applyGradients(gradients)).to.throw(
      "AdamW: there is no variable named 'nobody'",
    );
    expect(new AdamW(undefined, {beta1: undefined} as unknown as AdamWOptions).getConfig()).to.deep.equal({
      learningRate: 0.001,
      ...DEFAULTS,
    });
  });
});
