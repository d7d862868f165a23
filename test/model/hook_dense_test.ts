import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {approxActivationGrad, columnScores, factorize, packColumns, selectColumns} from '../../src/index.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {dxOf, gradientsOf, productsIn, stockDx, withHook} from './hooked.ts';
import {asStock, bits, describeOnHost, expectSameBits, mlp, outputs, randomTensor, train} from './models.ts';

type Dense = tfl.layers.Layer;

const INPUTS = 24;
const UNITS = 32;
/** What keep .25 comes to at 32 columns. */
const KEPT = 8;

const x = () => randomTensor([6, INPUTS], 1) as tf.Tensor2D;
const dy = () => randomTensor([6, UNITS], 2) as tf.Tensor2D;

/** A built Dense 24 → 32 whose values are the same in every run. */
function dense(args: Partial<Parameters<typeof tfl.layers.dense>[0]> = {}): Dense {
  const layer = tfl.layers.dense({units: UNITS, ...args});
  layer.apply(tf.zeros([1, INPUTS]));
  layer.setWeights(layer.weights.map(({shape}, i) => randomTensor(shape as number[], i + 3)));
  return layer;
}

const forward = (layer: Dense) => (input: tf.Tensor) => layer.apply(input) as tf.Tensor;
const kernelOf = (layer: Dense) => layer.weights[0]!.read() as tf.Variable;

/** dx by the exported ops: columns of largest score of the residual, and the exact product of the frozen factors. */
function formula(kernel: tf.Tensor, dz: tf.Tensor2D, frozenRank: number, selected?: tf.Tensor1D): tf.Tensor {
  const factors = frozenRank > 0 ? factorize(kernel, frozenRank, {seed: 0}) : undefined;
  const residual = factors ? tf.sub(kernel, tf.matMul(factors.frozenA, factors.frozenB)) : kernel;
  const scores = columnScores(dz, tf.norm(residual, 'euclidean', 0));
  const indices = selected ?? selectColumns(scores, KEPT);
  return approxActivationGrad({
    dy: dz,
    indices,
    packed: packColumns({kernel, indices, ...factors}),
    ...factors,
  });
}

describeBackends('the gradient hook on Dense: forward', () => {
  for (const activation of ['linear', 'relu', 'elu', 'tanh', 'softmax'] as const) {
    it(`${activation}: bit-equal to stock, ranks 2 and 3, also while a tape records`, async () => {
      const layer = dense({activation});
      const recorded = (input: tf.Tensor) => {
        let y: tf.Tensor | undefined;
        tf.grad((one) => {
          y = tf.keep(forward(layer)(one));
          return tf.sum(y);
        })(input);
        return y!;
      };
      for (const shape of [
        [5, INPUTS],
        [2, 3, INPUTS],
      ]) {
        const input = randomTensor(shape);
        const stock = [forward(layer)(input), await asStock(() => recorded(input))];
        const hooked = await withHook({frozenRank: 0}, () => [forward(layer)(input), recorded(input)]);
        for (const [i, output] of hooked.entries()) await expectSameBits(output, stock[i]!);
      }
      const ints = tf.cast(x(), 'int32');
      await expectSameBits(await withHook({}, () => forward(layer)(ints)), forward(layer)(ints));
    });
  }
});

describeBackends('the gradient hook on Dense: backward', () => {
  it('equals the formula of the frozen kernel, without frozen factors and with them', async () => {
    const layer = dense({activation: 'sigmoid', trainable: false});
    const y = forward(layer)(x());
    const dz = tf.mul(dy(), tf.mul(y, tf.sub(1, y))) as tf.Tensor2D;
    for (const frozenRank of [0, 2]) {
      const found = await withHook({keep: 0.25, frozenRank}, () => dxOf(forward(layer), x(), dy()));
      const expected = formula(kernelOf(layer), dz, frozenRank);
      await expectClose(found, await expected.data(), 1e-5);
      const exact = await stockDx(forward(layer), x(), dy());
      expect((await tf.norm(tf.sub(found, exact)).data())[0]).to.be.above(1);
    }
  });

  it('keeps the exact gradients of a trained kernel and its bias, and reads its current columns', async () => {
    const layer = dense();
    const kernel = kernelOf(layer);
    const variables = layer.weights.map((weight) => weight.read() as tf.Variable);
    await withHook({keep: 0.25, frozenRank: 2, refreshEvery: 100}, async (hook) => {
      const grads = gradientsOf(() => forward(layer)(x()), dy(), variables);
      await expectClose(grads[0]!, await tf.matMul(x(), dy(), true).data(), 1e-5);
      await expectClose(grads[1]!, await tf.sum(dy(), 0).data(), 1e-5);
      // of x nothing was asked
      expect(hook.stats().backwardPasses).to.equal(0);
      const found = dxOf(forward(layer), x(), dy());
      await expectClose(found, await formula(kernel, dy(), 0).data(), 1e-5);
      const norms = tf.norm(kernel, 'euclidean', 0);
      const selected = selectColumns(columnScores(dy(), norms), KEPT);
      kernel.assign(randomTensor([INPUTS, UNITS], 50));
      const moved = dxOf(forward(layer), x(), dy());
      await expectClose(moved, await formula(kernel, dy(), 0, selected).data(), 1e-5);
    });
  });

  it('keeps its state for a frozen kernel, and rebuilds it when the kernel changes', async () => {
    const layer = dense({trainable: false});
    await withHook({keep: 0.25, frozenRank: 2, refreshEvery: 100}, async () => {
      const first = dxOf(forward(layer), x(), dy());
      await expectSameBits(dxOf(forward(layer), x(), dy()), first);
      const weights = [randomTensor([INPUTS, UNITS], 50), randomTensor([UNITS], 51)];
      layer.setWeights(weights);
      const expected = formula(weights[0]!, dy(), 2);
      await expectClose(dxOf(forward(layer), x(), dy()), await expected.data(), 1e-5);
    });
  });
});

describeOnHost('the gradient hook on Dense: what stays stock', () => {
  it('with keep 1 gives the gradients of stock tfjs', async () => {
    for (const activation of ['linear', 'relu', 'elu', 'tanh', 'softmax'] as const) {
      const layer = dense({activation});
      const variables = layer.weights.map((weight) => weight.read() as tf.Variable);
      const all = () => [
        dxOf(forward(layer), x(), dy()),
        ...gradientsOf(() => forward(layer)(x()), dy(), variables),
      ];
      const stock = await asStock(all);
      const hooked = await withHook({keep: 1}, all);
      for (const [i, gradient] of hooked.entries()) await expectClose(gradient, await stock[i]!.data(), 1e-5);
    }
  });

  it('computes no gradient of a frozen kernel, where stock tfjs does', async () => {
    const [frozen, trained] = [dense({trainable: false}), dense()];
    const input = x();
    const once = (layer: Dense, variables: tf.Variable[]) =>
      productsIn(() => [
        dxOf(forward(layer), input, dy()),
        ...(variables.length > 0 ? gradientsOf(() => forward(layer)(input), dy(), variables) : []),
      ]);
    expect(await asStock(() => once(frozen, []))).to.equal(3); // forward, dx, and dW for nothing
    await withHook({keep: 1}, async () => {
      expect(await once(frozen, [])).to.equal(2);
      // a second forward, and dW without dx
      expect(await once(trained, [kernelOf(trained)])).to.equal(4);
    });
  });

  it('leaves a Dense alone where match says no', async () => {
    const layer = dense({activation: 'relu'});
    const stock = await stockDx(forward(layer), x(), dy());
    await withHook({keep: 0.25, match: () => false}, async (hook) => {
      await expectSameBits(await stockDx(forward(layer), x(), dy()), stock);
      expect(hook.stats().products).to.equal(0);
    });
  });

  it('calls the call hook of a layer, as stock does', async () => {
    const layer = dense();
    let calls = 0;
    layer.setCallHook(() => {
      calls++;
    });
    layer.apply(x());
    await withHook({}, () => layer.apply(x()));
    expect(calls).to.equal(2);
  });
});

describeOnHost('the gradient hook on models', () => {
  const input = () => randomTensor([10, 6], 1);
  const target = () => randomTensor([10, 4], 2);
  const compile = (model: tfl.LayersModel) =>
    model.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});

  it('approximates under fit, in models made before and after', async () => {
    const before = mlp();
    compile(before);
    const reference = outputs(before, input());
    await withHook({keep: 0.5, frozenRank: 0}, async (hook) => {
      const after = mlp();
      compile(after);
      for (const model of [before, after]) {
        for (const output of outputs(model, input())) await expectSameBits(output, reference[0]!);
        const passes = hook.stats().backwardPasses;
        const losses = await train(model, input(), target(), 5);
        expect(losses.at(-1)).to.be.below(losses[0]!);
        // the first layer's input needs no gradient
        expect(hook.stats().backwardPasses - passes).to.equal(5);
      }
    });
  });

  it('keeps tensors and buffers flat over 50 steps of fit, and frees all when disposed', async () => {
    const [a, b] = [input(), target()];
    for (const trainable of [true, false]) {
      const model = mlp();
      model.layers[1]!.trainable = trainable;
      compile(model);
      const {numTensors, numDataBuffers} = tf.memory();
      await withHook({keep: 0.5, frozenRank: 1, refreshEvery: 7}, async (hook) => {
        await train(model, a, b, 8);
        const warm = tf.memory();
        await train(model, a, b, 42);
        expect(tf.memory().numTensors).to.equal(warm.numTensors);
        expect(tf.memory().numDataBuffers).to.equal(warm.numDataBuffers);
        expect(warm.numTensors).to.be.above(numTensors);
        expect(hook.stats()).to.include({backwardPasses: 50, approximated: 50});
      });
      expect(tf.memory().numTensors).to.equal(numTensors);
      expect(tf.memory().numDataBuffers).to.equal(numDataBuffers);
    }
  });

  it('forgets disposed models when a new product comes', async () => {
    const [a, b] = [input(), target()];
    await withHook({keep: 0.5, frozenRank: 0}, async (hook) => {
      const {numTensors} = tf.memory();
      for (let i = 0; i < 3; i++) {
        const model = mlp();
        model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
        await train(model, a, b, 1);
        expect(hook.stats().products).to.equal(2);
        model.dispose();
      }
      // indices and scores of the last one
      expect(tf.memory().numTensors).to.equal(numTensors + 2);
    });
  });

  it('trains otherwise than stock tfjs does, and the same way each time', async () => {
    const weights = async (keep: number) => {
      const model = mlp();
      compile(model);
      await withHook({keep, frozenRank: 0}, () => train(model, input(), target(), 2));
      return bits(model.layers[0]!.getWeights()[0]!);
    };
    const [exact, approximated] = [await weights(1), await weights(0.25)];
    expect(exact).not.to.deep.equal(approximated);
    expect(await weights(0.25)).to.deep.equal(approximated);
  });
});
