import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, celoraDense, estimateCost} from '../../src/index.ts';
import {describeOnHost} from './models.ts';

const two = () =>
  tfl.sequential({
    layers: [
      tfl.layers.dense({units: 40, inputShape: [20], name: 'wide'}),
      tfl.layers.dense({units: 3, name: 'narrow'}),
    ],
  });

/** One layer of ours, 20 → 40. */
const one = (args: object) =>
  tfl.sequential({layers: [celoraDense({units: 40, inputShape: [20], rank: 2, exactEvery: 0, ...args})]});
const backward = (args: object, tokens = 10) => estimateCost(one(args), tokens).total.configured.backward;

describeOnHost('estimateCost', () => {
  it('counts a stock model: dW and dx where it is trained, dx where it is frozen', () => {
    const model = two();
    model.layers[1]!.trainable = false;
    const {layers, total, ceiling} = estimateCost(model, 10);
    // 10 · 20 · 40 and 10 · 40 · 3
    expect(layers).to.deep.equal([
      {
        name: 'wide',
        full: {forward: 8000, backward: 16000},
        exactLoRA: {forward: 8000, backward: 16000},
        configured: {forward: 8000, backward: 16000},
      },
      {
        name: 'narrow',
        full: {forward: 1200, backward: 2400},
        exactLoRA: {forward: 1200, backward: 1200},
        configured: {forward: 1200, backward: 1200},
      },
    ]);
    expect(total.full).to.deep.equal({forward: 9200, backward: 18400});
    expect(total.configured).to.deep.equal({forward: 9200, backward: 17200});
    expect(ceiling).to.equal(1);
  });

  it('counts a converted model as one does by hand', () => {
    const model = two();
    applyCELoRA(model, {rank: 2, keep: 0.25, frozenRank: 1, exactEvery: 0});
    const {layers, total, ceiling} = estimateCost(model, 10);
    expect(layers).to.deep.equal([
      {
        name: 'wide',
        full: {forward: 8000, backward: 16000},
        // the adapter: forward 10·2·(20 + 40), backward twice that
        exactLoRA: {forward: 8000 + 1200, backward: 8000 + 2400},
        // 12 columns of 40, and r₀ = 1: 10·(12·20 + 1·(20 + 40))
        configured: {forward: 8000 + 1200, backward: 3000 + 2400},
      },
      {
        name: 'narrow',
        full: {forward: 1200, backward: 2400},
        exactLoRA: {forward: 1200 + 860, backward: 1200 + 1720},
        // 1 column of 3: 10·(1·40 + 1·(40 + 3))
        configured: {forward: 1200 + 860, backward: 830 + 1720},
      },
    ]);
    expect(total).to.deep.equal({
      full: {forward: 9200, backward: 18400},
      exactLoRA: {forward: 11260, backward: 13320},
      configured: {forward: 11260, backward: 7950},
    });
    expect(ceiling).to.be.closeTo((11260 + 13320) / (11260 + 7950), 1e-12);
  });

  it('counts what each option changes', () => {
    // adapter 2400, dx exact 8000
    expect(backward({keep: 1})).to.equal(2400 + 8000);
    expect(backward({keep: 0.25, frozenRank: 0})).to.equal(2400 + 10 * 12 * 20);
    expect(backward({keep: 0.25, frozenRank: 2})).to.equal(2400 + 10 * (12 * 20 + 2 * 60));
    // r₀ is at most min(in, out) = 20, where the factors cost more than they save
    expect(backward({keep: 0.25, frozenRank: 99})).to.equal(2400 + 8000);
    expect(backward({keep: 0.25, minSize: 8001})).to.equal(2400 + 8000);
    expect(backward({keep: 0.25, frozenRank: 0, minSize: 8000})).to.equal(2400 + 10 * 12 * 20);
    // 3 of 10 rows; the exact kernel, whatever frozenRank is
    expect(backward({keep: 0.3, axis: 'rows'})).to.equal(2400 + 3 * 20 * 40);
    expect(backward({keep: 0.01, axis: 'rows'}, 1)).to.equal(240 + 800);
    // no adapter; and a trained kernel has its gradient and no frozen factors
    expect(backward({rank: 0, keep: 0.25, frozenRank: 1})).to.equal(10 * (12 * 20 + 60));
    expect(backward({rank: 0, keep: 0.25, frozenRank: 1, trainBase: true})).to.equal(8000 + 10 * 12 * 20);
  });

  it('counts the mean of exact and approximated steps where every n-th is exact', () => {
    const [exact, approximated] = [1, 0.25].map((keep) => backward({keep, frozenRank: 0}));
    const third = backward({keep: 0.25, frozenRank: 0, exactEvery: 3});
    expect(third).to.be.closeTo((exact! + 2 * approximated!) / 3, 1e-9);
    expect(backward({keep: 0.25, frozenRank: 0, exactEvery: 1})).to.equal(exact);
  });

  it('counts a layer for each of its uses, and one in TimeDistributed once', () => {
    const shared = tfl.layers.dense({units: 6, name: 'twice'});
    const input = tfl.input({shape: [6]});
    const output = shared.apply(shared.apply(input)) as tfl.SymbolicTensor;
    expect(estimateCost(tfl.model({inputs: input, outputs: output}), 10).total.full.forward).to.equal(720);
    const wrapped = tfl.sequential({
      layers: [tfl.layers.timeDistributed({layer: tfl.layers.dense({units: 4}), inputShape: [3, 6]})],
    });
    expect(estimateCost(wrapped, 30).total.full.forward).to.equal(30 * 6 * 4);
  });

  it('prints multiply-adds as a table, in a unit that suits the size', () => {
    const print = (tokens: number) => estimateCost(two(), tokens).toString().split('\n');
    expect(print(10)).to.deep.equal([
      'multiply-adds  full fwd     bwd  exact LoRA fwd     bwd  CE-LoRA fwd     bwd',
      'wide              8,000  16,000           8,000  16,000        8,000  16,000',
      'narrow            1,200   2,400           1,200   2,400        1,200   2,400',
      'total             9,200  18,400           9,200  18,400        9,200  18,400',
    ]);
    for (const [tokens, total] of [
      [0.01, 'multiply-adds 9 18'],
      [500, 'multiply-adds 460,000 920,000'],
      [1000, 'k multiply-adds 920 1,840'],
      [1e6, 'M multiply-adds 920 1,840'],
      [1e9, 'G multiply-adds 920 1,840'],
      [1e12, 'T multiply-adds 920 1,840'],
      [1e15, 'T multiply-adds 920,000 1,840,000'],
    ] as const) {
      const lines = print(tokens);
      const unit = lines[0]!.replace(/ +full.*/, '');
      expect([unit, ...lines.at(-1)!.split(/ +/).slice(1, 3)].join(' ')).to.equal(total);
    }
  });

  it('prints millions of multiply-adds for a large model', () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({units: 2000, inputShape: [1000], name: 'big', kernelInitializer: 'zeros'}),
        tfl.layers.dense({units: 1000, name: 'back', kernelInitializer: 'zeros'}),
      ],
    });
    // 500 columns, rounded to 512, of 2000; the second stays as it is, frozen
    applyCELoRA(model, {target: 'big', rank: 10, keep: 0.25, frozenRank: 10, exactEvery: 0});
    expect(estimateCost(model, 1000).toString().split('\n')).to.deep.equal([
      'M multiply-adds  full fwd    bwd  exact LoRA fwd    bwd  CE-LoRA fwd    bwd',
      'big                 2,000  4,000           2,030  2,060        2,030    602',
      'back                2,000  4,000           2,000  2,000        2,000  2,000',
      'total               4,000  8,000           4,030  4,060        4,030  2,602',
    ]);
  });

  it('refuses tokens that are no positive number, and models without Dense', () => {
    for (const tokens of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '8']) {
      expect(() => estimateCost(two(), tokens as number)).to.throw(
        'estimateCost: tokens must be a number > 0',
      );
    }
    const none = tfl.sequential({name: 'none', layers: [tfl.layers.flatten({inputShape: [2, 2]})]});
    expect(() => estimateCost(none, 8)).to.throw('estimateCost: model none has no Dense layer');
  });
});
