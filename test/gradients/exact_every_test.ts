import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {ActivationGradient, applyCELoRA, type CELoRAConfig} from '../../src/index.ts';
import {celoraLayers} from '../../src/model/convert.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../backends.ts';
import {bits, describeOnHost} from '../model/models.ts';
import {randomDy, randomProduct, tensorOf} from '../ops/tensors.ts';
import {approxDx} from '../reference/columns.ts';
import {exactDx} from '../reference/lora.ts';
import type {Matrix} from '../reference/matrix.ts';
import {idsOf, tinyLM} from '../train/tiny_lm.ts';
import {
  dyOf,
  expectedDx,
  FROZEN_RANK,
  indicesOf,
  kernelMatrix,
  pass,
  SIZES as sizes,
  variableOf,
} from './passes.ts';

/** dx from the columns of these indices; without any, exactly. */
const dxOf = (kernel: Matrix, dy: Matrix, indices?: number[]) =>
  (indices ? approxDx({kernel, scale: 1}, dy, indices) : exactDx({kernel, scale: 1}, dy)).data;

describeBackends('exactEvery', () => {
  const base = {keep: 0.25, frozenRank: FROZEN_RANK, exactEvery: 3};
  const w = kernelMatrix(1);
  const exactOf = (dy = dyOf(0)) => dxOf(w, dy);

  it('makes every n-th pass exact, from the first on, and selects in the first of these that is due', async () => {
    const gradient = new ActivationGradient({...base, refreshEvery: 4});
    const kernel = variableOf(w, false);
    const selected: number[][] = [];
    for (let i = 0; i < 8; i++) {
      // from the second pass on the other half of the columns is the large one
      const dy = dyOf(i === 0 ? 0 : 1);
      const dx = pass(gradient, kernel, dy);
      await expectClose(dx, i % 3 === 0 ? exactOf(dy) : await expectedDx(gradient, w, dy));
      selected.push(await indicesOf(gradient));
    }
    // due from the fifth pass on, made in the seventh
    for (const columns of selected.slice(0, 6)) expect(columns).to.deep.equal(selected[0]);
    expect(selected[0]!.every((j) => j < sizes.units / 2)).to.equal(true);
    expect(selected[6]!.every((j) => j >= sizes.units / 2)).to.equal(true);
    expect(selected[7]).to.deep.equal(selected[6]);
    const adds = sizes.rows * sizes.inputs * sizes.units;
    const approximated =
      sizes.rows * ((0.25 * adds) / sizes.rows + FROZEN_RANK * (sizes.inputs + sizes.units));
    expect(gradient.stats).to.deep.equal({
      backwardPasses: 8,
      exactPasses: 3,
      refreshes: 2,
      kept: sizes.units / 4,
      multiplyAdds: 8 * adds,
      savedMultiplyAdds: 5 * (adds - approximated),
    });
    gradient.dispose();
  });

  it('waits for no exact pass where they are rarer than selections', async () => {
    const gradient = new ActivationGradient({...base, refreshEvery: 2});
    const kernel = variableOf(w, false);
    const refreshes: number[] = [];
    for (let i = 0; i < 7; i++) {
      pass(gradient, kernel, dyOf(0)).dispose();
      refreshes.push(gradient.stats.refreshes);
    }
    expect(refreshes).to.deep.equal([1, 1, 2, 2, 3, 3, 4]);
    gradient.dispose();
  });

  it('selects at once where there is no selection: after exact steps, and for another kernel', async () => {
    const gradient = new ActivationGradient({...base, exactSteps: 4, refreshEvery: 20});
    const kernel = variableOf(w, false);
    for (let i = 0; i < 4; i++) await expectClose(pass(gradient, kernel, dyOf(0)), exactOf());
    expect(gradient.indices).to.equal(undefined);
    const fifth = pass(gradient, kernel, dyOf(0));
    await expectClose(fifth, await expectedDx(gradient, w, dyOf(0)));
    expect(gradient.stats).to.include({backwardPasses: 5, exactPasses: 4, refreshes: 1});
    const other = kernelMatrix(2);
    kernel.assign(tensorOf(other));
    const sixth = pass(gradient, kernel, dyOf(0));
    await expectClose(sixth, await expectedDx(gradient, other, dyOf(0)));
    expect(gradient.stats).to.include({backwardPasses: 6, exactPasses: 4, refreshes: 2});
    // counted from the first pass of all, whatever was exact before
    await expectClose(pass(gradient, kernel, dyOf(0)), dxOf(other, dyOf(0)));
    gradient.dispose();
  });

  it('takes a trained kernel, sampled rows and other shapes', async () => {
    const trained = new ActivationGradient({...base, exactEvery: 2, refreshEvery: 2});
    const kernel = variableOf(w, true);
    await expectClose(pass(trained, kernel, dyOf(0)), exactOf());
    await expectClose(pass(trained, kernel, dyOf(0)), await expectedDx(trained, w, dyOf(0), false));
    trained.dispose();

    const sampled = new ActivationGradient({axis: 'rows', keep: 0.5, exactEvery: 2});
    for (let i = 0; i < 4; i++) pass(sampled, kernel, dyOf(0)).dispose();
    await expectClose(pass(sampled, kernel, dyOf(0)), exactOf());
    expect(sampled.stats).to.include({backwardPasses: 5, exactPasses: 3, refreshes: 0, kept: sizes.rows / 2});

    const odd = {inputs: 123, units: 123, rank: 0, bias: false};
    const gradient = new ActivationGradient({keep: 0.3, frozenRank: 0, exactEvery: 2});
    const oddKernel = randomProduct({...odd, rows: 5}).kernel;
    const variable = variableOf(oddKernel, false);
    for (const [i, rows] of [5, 1, 5, 7].entries()) {
      const dy = randomDy({...odd, rows}, rows);
      const dx = pass(gradient, variable, dy);
      const wanted = i % 2 === 0 ? undefined : await indicesOf(gradient);
      await expectClose(dx, dxOf(oddKernel, dy, wanted));
    }
    gradient.dispose();
  });

  it('is exact in every pass with 1, and derives nothing', async () => {
    const gradient = new ActivationGradient({...base, exactEvery: 1});
    const kernel = variableOf(w, false);
    await expectNoLeaks(async () => {
      for (let i = 0; i < 2; i++) {
        const dx = pass(gradient, kernel, dyOf(0));
        await expectClose(dx, exactOf());
        dx.dispose();
      }
    });
    expect(gradient.stats).to.include({
      backwardPasses: 2,
      exactPasses: 2,
      refreshes: 0,
      savedMultiplyAdds: 0,
    });
  });

  it('leaves nothing behind but its state', async () => {
    const kernel = variableOf(w, false);
    await expectNoLeaks(() => {
      const gradient = new ActivationGradient({...base, refreshEvery: 1});
      for (let i = 0; i < 5; i++) pass(gradient, kernel, dyOf(0)).dispose();
      gradient.dispose();
    });
  });
});

describeOnHost('exactEvery in a model', () => {
  /** Bits of all gradients in so many passes, the weights being as they are. */
  async function gradientsOf(options: Partial<CELoRAConfig>, passes: number) {
    const model = tinyLM();
    applyCELoRA(model, {target: /_proj$/, rank: 2, frozenRank: 1, refreshEvery: 3, ...options});
    const ids = idsOf(2, 6);
    const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
    const found: number[][][] = [];
    for (let i = 0; i < passes; i++) {
      const {value, grads} = tf.variableGrads(
        () => tf.mean(tf.square(model.apply(ids, {training: true}) as tf.Tensor)) as tf.Scalar,
        variables,
      );
      found.push(await Promise.all(Object.values(grads).map(bits)));
      tf.dispose([value, grads]);
    }
    return {found, layers: celoraLayers(model)};
  }

  it('has the gradients of exact LoRA in the passes that are exact, which are those of all layers', async () => {
    const [exact] = (await gradientsOf({keep: 1}, 1)).found;
    const {found, layers} = await gradientsOf({keep: 0.5, exactEvery: 3}, 7);
    for (const [i, one] of found.entries()) {
      if (i % 3 === 0) expect(one).to.deep.equal(exact);
      else expect(one).not.to.deep.equal(exact);
    }
    const passes = layers
      .map(({gradient}) => gradient.stats)
      .filter(({backwardPasses}) => backwardPasses > 0);
    expect(passes.length).to.be.above(8);
    for (const stats of passes) expect(stats).to.include({backwardPasses: 7, exactPasses: 3, refreshes: 3});
  });
});
