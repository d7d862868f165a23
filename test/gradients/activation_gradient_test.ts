import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {ActivationGradient, sampleRows} from '../../src/index.ts';
import {BREAK_EVEN_FLAG} from '../../src/kernels/break_even.ts';
import {randomStream} from '../../src/random.ts';
import {describeBackends, expectClose} from '../backends.ts';
import {randomDy, tensorOf} from '../ops/tensors.ts';
import {columnScores, largest} from '../reference/columns.ts';
import {exactDx} from '../reference/lora.ts';
import {at, columnNorms, type Matrix, matrix, scale, transpose} from '../reference/matrix.ts';
import {sampledDx} from '../reference/rows.ts';
import {withFlag} from '../support/flags.ts';
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

/** A kernel whose columns of one half are large. */
const kernelWithLarge = (half: number): Matrix =>
  matrix(sizes.inputs, sizes.units, (i, j) => {
    const large = Math.floor((2 * j) / sizes.units) === half;
    return Math.fround((large ? 10 : 1) * Math.sin(1 + i * sizes.units + j));
  });

describeBackends('ActivationGradient', () => {
  const options = {keep: 0.25, frozenRank: FROZEN_RANK, refreshEvery: 3, exactEvery: 0};

  it('selects at the first pass and then every refreshEvery passes, and keeps the columns between', async () => {
    const gradient = new ActivationGradient(options);
    const w = kernelMatrix(1);
    const kernel = variableOf(w, false);
    const selected: number[][] = [];
    for (let i = 0; i < 7; i++) {
      // from the second pass on the other half of the columns is the large one
      const dy = dyOf(i === 0 ? 0 : 1);
      const dx = pass(gradient, kernel, dy);
      await expectClose(dx, await expectedDx(gradient, w, dy));
      selected.push(await indicesOf(gradient));
      expect(gradient.stats.refreshes).to.equal(1 + Math.floor(i / 3));
    }
    const [first, second, third, fourth, , , seventh] = selected;
    expect(first!.every((j) => j < sizes.units / 2)).to.equal(true);
    expect([second, third]).to.deep.equal([first, first]);
    expect(fourth!.every((j) => j >= sizes.units / 2)).to.equal(true);
    expect(seventh).to.deep.equal(fourth);
    expect(gradient.stats).to.include({backwardPasses: 7, exactPasses: 0, kept: sizes.units / 4});
    gradient.dispose();
  });

  it('has the scores of its last selection, and none before it', async () => {
    const gradient = new ActivationGradient({...options, frozenRank: 0});
    const [w, dy] = [kernelMatrix(1), dyOf(0)];
    expect(gradient.selectionScores).to.equal(undefined);
    const kernel = variableOf(w, false);
    pass(gradient, kernel, dy).dispose();
    pass(gradient, kernel, dyOf(1)).dispose(); // selects nothing
    const scores = columnScores(dy, columnNorms(w), 'product');
    await expectClose(gradient.selectionScores!, scores);
    expect(await indicesOf(gradient)).to.deep.equal(largest(scores, sizes.units / 4));
    gradient.dispose();
    expect(gradient.selectionScores).to.equal(undefined);
  });

  it('selects at every pass with refreshEvery 1', () => {
    const gradient = new ActivationGradient({...options, refreshEvery: 1});
    const kernel = variableOf(kernelMatrix(1), false);
    for (let i = 0; i < 3; i++) pass(gradient, kernel, dyOf(0));
    expect(gradient.stats.refreshes).to.equal(3);
    gradient.dispose();
  });

  it('stays exact for exactSteps passes, then selects', async () => {
    const gradient = new ActivationGradient({...options, exactSteps: 2});
    const [w, dy] = [kernelMatrix(1), dyOf(0)];
    const kernel = variableOf(w, false);
    for (let i = 0; i < 2; i++) {
      await expectClose(pass(gradient, kernel, dy), exactDx({kernel: w, scale: 1}, dy).data);
      expect(gradient.indices).to.equal(undefined);
    }
    const dx = pass(gradient, kernel, dy);
    await expectClose(dx, await expectedDx(gradient, w, dy));
    expect(gradient.stats).to.include({backwardPasses: 3, exactPasses: 2, refreshes: 1});
    gradient.dispose();
  });

  it('stays exact below minSize, at keep 1, where factors would cost more, and while told so', async () => {
    const [w, dy] = [kernelMatrix(1), dyOf(0)];
    const kernel = variableOf(w, false);
    const exact = exactDx({kernel: w, scale: 1}, dy).data;
    const size = sizes.rows * sizes.inputs * sizes.units;
    for (const config of [{minSize: size + 1}, {keep: 1}, {frozenRank: sizes.inputs}]) {
      const gradient = new ActivationGradient({...options, ...config});
      await expectClose(pass(gradient, kernel, dy), exact);
      expect(gradient.stats).to.deep.equal({
        backwardPasses: 1,
        exactPasses: 1,
        refreshes: 0,
        kept: 0,
        multiplyAdds: size,
        savedMultiplyAdds: 0,
      });
    }
    const gradient = new ActivationGradient({...options, minSize: size});
    gradient.exact = true;
    await expectClose(pass(gradient, kernel, dy), exact);
    gradient.exact = false;
    const dx = pass(gradient, kernel, dy);
    await expectClose(dx, await expectedDx(gradient, w, dy));
    expect(gradient.stats).to.include({backwardPasses: 2, exactPasses: 1});
    gradient.dispose();
  });

  it('stays exact where approximating was measured to save no time, unless told otherwise', () => {
    const kernel = variableOf(kernelMatrix(1), false);
    const size = sizes.rows * sizes.inputs * sizes.units;
    const exactPasses = (given: {least?: number} = {}) => {
      const gradient = new ActivationGradient(options, given);
      pass(gradient, kernel, dyOf(0));
      gradient.dispose();
      return gradient.stats.exactPasses;
    };
    withFlag(BREAK_EVEN_FLAG, size + 1, () => {
      expect([exactPasses(), exactPasses({least: 0})]).to.deep.equal([1, 0]);
    });
    withFlag(BREAK_EVEN_FLAG, size, () => {
      expect([exactPasses(), exactPasses({least: size + 1})]).to.deep.equal([0, 1]);
    });
  });

  it('rebuilds when the frozen kernel is assigned new values, before the next refresh', async () => {
    const gradient = new ActivationGradient({...options, refreshEvery: 100});
    const [first, second, dy] = [kernelMatrix(1), kernelMatrix(2), dyOf(0)];
    const kernel = variableOf(first, false);
    pass(gradient, kernel, dy);
    kernel.assign(tensorOf(second));
    const dx = pass(gradient, kernel, dy);
    await expectClose(dx, await expectedDx(gradient, second, dy));
    expect(gradient.stats.refreshes).to.equal(2);
    pass(gradient, kernel, dy);
    expect(gradient.stats.refreshes).to.equal(2);
    gradient.dispose();
  });

  it('reads a trained kernel afresh: new values in the columns selected before, no frozen factors', async () => {
    const gradient = new ActivationGradient({...options, refreshEvery: 2});
    const [first, second] = [kernelMatrix(1), kernelMatrix(2)];
    const kernel = variableOf(first, true);
    await expectClose(pass(gradient, kernel, dyOf(0)), await expectedDx(gradient, first, dyOf(0), false));
    const before = await indicesOf(gradient);
    kernel.assign(tensorOf(second));
    await expectClose(pass(gradient, kernel, dyOf(1)), await expectedDx(gradient, second, dyOf(1), false));
    expect(await indicesOf(gradient)).to.deep.equal(before);
    await expectClose(pass(gradient, kernel, dyOf(1)), await expectedDx(gradient, second, dyOf(1), false));
    expect(await indicesOf(gradient)).not.to.deep.equal(before);
    expect(gradient.stats.refreshes).to.equal(2);
    gradient.dispose();
  });

  it('scores a trained kernel by its norms at the refresh', async () => {
    const gradient = new ActivationGradient({...options, refreshEvery: 1, score: 'weight'});
    const kernel = variableOf(kernelWithLarge(0), true);
    pass(gradient, kernel, randomDy(sizes));
    expect((await indicesOf(gradient)).every((j) => j < sizes.units / 2)).to.equal(true);
    kernel.assign(tensorOf(kernelWithLarge(1)));
    pass(gradient, kernel, randomDy(sizes));
    expect((await indicesOf(gradient)).every((j) => j >= sizes.units / 2)).to.equal(true);
    gradient.dispose();
  });

  it('follows a kernel that is thawed and frozen again', async () => {
    const gradient = new ActivationGradient({...options, refreshEvery: 100});
    const [w, dy] = [kernelMatrix(1), dyOf(0)];
    const kernel = variableOf(w, false);
    for (const trainable of [false, true, false]) {
      kernel.trainable = trainable;
      const dx = pass(gradient, kernel, dy);
      await expectClose(dx, await expectedDx(gradient, w, dy, !trainable));
    }
    expect(gradient.stats.refreshes).to.equal(3);
    gradient.dispose();
  });

  it('takes batches of different sizes', async () => {
    const gradient = new ActivationGradient({...options, refreshEvery: 2});
    const w = kernelMatrix(1);
    const kernel = variableOf(w, false);
    for (const rows of [8, 1, 13]) {
      const dy = randomDy({...sizes, rows}, rows);
      const dx = pass(gradient, kernel, dy);
      await expectClose(dx, await expectedDx(gradient, w, dy));
    }
    gradient.dispose();
  });

  it('takes Wᵀ: the same dx, exact, approximated and of sampled rows', async () => {
    const [w, dy] = [kernelMatrix(1), dyOf(0)];
    const kernel = tensorOf(transpose(w));
    const dxOf = (gradient: ActivationGradient) =>
      tf.tidy(() => gradient.compute(tensorOf(dy), kernel, kernel.dataId));
    const exact = new ActivationGradient({keep: 1}, {transposed: true});
    await expectClose(dxOf(exact), exactDx({kernel: w, scale: 1}, dy).data);
    const approximate = new ActivationGradient(options, {transposed: true});
    await expectClose(dxOf(approximate), await expectedDx(approximate, w, dy));
    const trained = new ActivationGradient(options, {transposed: true});
    const dx = tf.tidy(() => trained.compute(tensorOf(dy), kernel, undefined));
    await expectClose(dx, await expectedDx(trained, w, dy, false));
    const byRows = {axis: 'rows', keep: 0.5, exactEvery: 0, seed: 5} as const;
    const rows = dxOf(new ActivationGradient(byRows, {transposed: true}));
    const plain = pass(new ActivationGradient(byRows), tensorOf(w), dy);
    await expectClose(rows, await plain.data());
    for (const gradient of [approximate, trained]) gradient.dispose();
  });

  it('samples rows: its formula, another draw at every pass, the same draws from the same seed', async () => {
    const normal = randomDy(sizes);
    const [w, dy] = [kernelMatrix(1), matrix(sizes.rows, sizes.units, (i, j) => (1 + i) * at(normal, i, j))];
    const kernel = variableOf(w, false);
    const config = {axis: 'rows', keep: 0.5, exactEvery: 0, seed: 1} as const;
    const [gradient, twin] = [new ActivationGradient(config), new ActivationGradient(config)];
    const other = new ActivationGradient({...config, seed: 2});
    const random = randomStream(1);
    const draws = new Set<string>();
    let differs = false;
    for (let i = 0; i < 4; i++) {
      const {indices, weights} = sampleRows(tensorOf(dy), 4, random());
      const [drawn, w1] = [await indices.data(), await weights.data()];
      draws.add(drawn.join());
      const dx = await pass(gradient, kernel, dy).data();
      await expectClose(tf.tensor1d(dx), sampledDx({kernel: w, scale: 1}, dy, drawn, w1).data);
      expect(await pass(twin, kernel, dy).data()).to.deep.equal(dx);
      differs ||= (await pass(other, kernel, dy).data()).join() !== dx.join();
    }
    expect(draws.size).to.be.above(1);
    expect(differs).to.equal(true);
    expect(gradient.stats).to.include({kept: 4, refreshes: 0});
    const size = 4 * sizes.rows * sizes.inputs * sizes.units;
    expect(gradient.stats).to.include({multiplyAdds: size, savedMultiplyAdds: size / 2});
    expect(gradient.indices).to.equal(undefined);
  });

  it('is finite for a dy or a kernel of zeros, and lets a NaN of a sampled dy through', async () => {
    for (const axis of ['columns', 'rows'] as const) {
      for (const [w, dy] of [
        [kernelMatrix(1), scale(dyOf(0), 0)],
        [scale(kernelMatrix(1), 0), dyOf(0)],
      ] as const) {
        const gradient = new ActivationGradient({...options, axis});
        const dx = pass(gradient, variableOf(w, false), dy);
        await expectClose(dx, new Float32Array(sizes.rows * sizes.inputs));
        gradient.dispose();
      }
    }
    const spoiled = matrix(sizes.rows, sizes.units, (i, j) => (i === 7 && j === 3 ? Number.NaN : 1));
    const dx = pass(
      new ActivationGradient({axis: 'rows', exactEvery: 0}),
      variableOf(kernelMatrix(1), false),
      spoiled,
    );
    expect((await dx.data()).some(Number.isNaN)).to.equal(true);
  });

  it('names a bad option', () => {
    expect(() => new ActivationGradient({keep: 2})).to.throw(
      'keep must be a number with 0 < keep ≤ 1, but is 2',
    );
  });
});
